package tlsprobe

import (
	"cmp"
	"crypto/tls"
	"net/netip"
	"strings"

	"sonde/probes"
)

// An Offer is one way to offer TLS, on a connection of its own.
type Offer struct {
	// Config is for [Handshake], unless Hello is set.
	Config Config
	// Hello is for [ClientHello] and a [Reader]: no tunnel comes of it, only
	// facts.
	Hello *Hello

	mends trouble
}

// Version is the highest version that is offered.
func (o Offer) Version() uint16 {
	if o.Hello != nil {
		return o.Hello.Version
	}
	return cmp.Or(o.Config.MaxVersion, tls.VersionTLS13)
}

// MaxOffers is how many of the offers are made in one visit, at most: the
// longest way that [Next] goes. Some servers ban who fails too often, so each
// has to promise something.
const MaxOffers = 5

// Offers gives the ways to offer TLS to a target with these names, best first:
//
//	0  crypto/tls  up to TLS 1.3, with the first name that can be sent
//	1  crypto/tls  up to TLS 1.2, no name
//	2  crypto/tls  TLS 1.0, no name
//	3  by hand     TLS 1.2, every kind of suite, with the name
//	4  by hand     TLS 1.0, old suites, no extensions
//	5  by hand     SSL 3.0, the same
//	6  by hand     SSL 2.0
//	7  anonymous   TLS 1.2, suites without a certificate
//
// [Next] says which of them to make after one has failed.
func Offers(names []string) []Offer {
	name := ""
	for _, n := range names {
		if canSend(n) {
			name = n
			break
		}
	}
	anonymous := trouble(0)
	if name != "" {
		anonymous = withName
	}
	return []Offer{
		{Config: Config{Name: name}},
		{Config: Config{MaxVersion: tls.VersionTLS12}, mends: anonymous | withForm},
		{Config: Config{MaxVersion: tls.VersionTLS10}, mends: withVersion | withForm},
		{Hello: &Hello{Version: tls.VersionTLS12, Name: name}, mends: withSuites | withUs},
		{Hello: &Hello{Version: tls.VersionTLS10}, mends: withVersion | withSuites | withForm},
		{Hello: &Hello{Version: VersionSSL30}, mends: withVersion | withSuites},
		{Hello: &Hello{Version: VersionSSL20}, mends: withVersion},
		{Config: Config{MaxVersion: tls.VersionTLS12, Anonymous: true}, mends: withNobody},
	}
}

// canSend reports whether a name of the target is one for SNI: not empty, an
// address, a pattern or too long.
func canSend(name string) bool {
	_, err := netip.ParseAddr(name)
	return err != nil && name != "" && len(name) <= maxHostName && !strings.HasPrefix(name, "*")
}

// A trouble is what may have been wrong with an offer.
type trouble uint8

const (
	withName    trouble = 1 << iota // the name was not known there
	withVersion                     // too new
	withSuites                      // none in common
	withForm                        // too long, or extensions that are not understood
	withUs                          // crypto/tls refuses what the server chose
	withNobody                      // it chose to have no certificate
)

// A Try is an offer that was made and failed.
type Try struct {
	Offer    int // index into Offers
	Facts    probes.TLSFacts
	SpokeTLS bool
	Silent   bool
}

// Try says that the offer of this index failed in a [Handshake].
func (e *HandshakeError) Try(offer int, facts probes.TLSFacts) Try {
	return Try{Offer: offer, Facts: facts, SpokeTLS: e.SpokeTLS, Silent: e.Silent}
}

// Try says that the offer of this index was read by hand.
func (r Result) Try(offer int) Try {
	return Try{Offer: offer, Facts: r.Facts, SpokeTLS: r.SpokeTLS, Silent: r.Silent}
}

// Next gives the index of the offer to make after these, in the order in which
// they were made. It reports false when no other would show more:
//
//   - a certificate was seen, or all that is said in clear;
//   - the peer does not speak TLS, or lets us wait: another hello would only
//     cost the time again;
//   - it hung up without a byte twice, and is not known to speak TLS, by a
//     match, from an earlier visit or in one of the tries;
//   - or no later offer mends what may be wrong.
func Next(offers []Offer, tries []Try, known bool) (next int, ok bool) {
	if len(tries) == 0 || len(tries) >= MaxOffers {
		return 0, false
	}
	silent, chose := 0, false
	for _, t := range tries {
		if t.Facts.Certificate != nil {
			return 0, false
		}
		known = known || t.SpokeTLS
		chose = chose || t.Facts.Version != ""
		if t.Silent {
			silent++
		}
	}
	last := tries[len(tries)-1]
	if silent >= 2 && !known {
		return 0, false
	}
	wrong := last.troubles()
	if wrong == withVersion && chose {
		return 0, false // it has one of its own, above what was offered last
	}
	for i := last.Offer + 1; i < len(offers); i++ {
		mends := offers[i].mends
		if offers[i].Version() >= offers[last.Offer].Version() {
			mends &^= withVersion
		}
		if mends&wrong != 0 {
			return i, true
		}
	}
	return 0, false
}

// troubles guesses from how a handshake failed what was wrong. The alerts are
// those of RFC 8446 section 6.2, as crypto/tls words them.
func (t Try) troubles() trouble {
	if !t.SpokeTLS && !t.Silent {
		return 0 // it speaks something else
	}
	switch t.Facts.Alert {
	case NotContinued:
		if isAnonymous(t.Facts.Cipher) {
			return withNobody
		}
		return 0
	case "timeout", "cancelled":
		return 0
	case "closed", "reset":
		return withForm | withVersion
	case "unrecognized name":
		return withName
	case "protocol version not supported", "inappropriate fallback":
		return withVersion
	case "handshake failure", "insufficient security level":
		return withName | withSuites
	case "access denied", "internal error":
		return withName | withForm
	}
	if t.Facts.Version != "" {
		return withUs // it chose, and we did not like it
	}
	return withForm | withVersion | withSuites
}
