package tlsprobe

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"sonde/probes"
)

// lenient fills facts from a certificate that crypto/x509 refuses: for a
// negative serial number, a time in an odd form, a string of the wrong kind, a
// key of an unknown curve, trailing data and the like. It takes each field for
// itself, and stops only where the structure of DER is lost.
func lenient(facts *probes.Certificate, raw []byte) {
	var outer, tbs, issuer, validity, subject, key cryptobyte.String
	s := cryptobyte.String(raw)
	if !s.ReadASN1(&outer, der.SEQUENCE) || !outer.ReadASN1(&tbs, der.SEQUENCE) ||
		!tbs.SkipOptionalASN1(version) ||
		!skip(&tbs) || // serial number
		!skip(&tbs) || // signature algorithm
		!tbs.ReadASN1(&issuer, der.SEQUENCE) {
		return
	}
	facts.Issuer = distinguishedName(issuer)
	if !tbs.ReadASN1(&validity, der.SEQUENCE) {
		return
	}
	facts.NotBefore, facts.NotAfter = readTime(&validity), readTime(&validity)
	if !tbs.ReadASN1(&subject, der.SEQUENCE) {
		return
	}
	facts.Subject = distinguishedName(subject)
	if !tbs.ReadASN1(&key, der.SEQUENCE) {
		return
	}
	facts.Key = keyKind(key)
	setRawSANs(facts, tbs)
}

// Tags of RFC 5280 section 4.1.
var (
	version    = der.Tag(0).ContextSpecific().Constructed()
	extensions = der.Tag(3).ContextSpecific().Constructed()
)

func skip(s *cryptobyte.String) bool {
	var value cryptobyte.String
	var tag der.Tag
	return s.ReadAnyASN1(&value, &tag)
}

// maxAttributes bounds those of a name: RFC 5280 knows fewer than 20 kinds.
const maxAttributes = 64

// distinguishedName words a Name as [pkix.Name] does.
func distinguishedName(s cryptobyte.String) string {
	var sequence pkix.RDNSequence
	for len(sequence) < maxAttributes {
		var set, pair, value cryptobyte.String
		var rdn pkix.RelativeDistinguishedNameSET
		if !s.ReadASN1(&set, der.SET) {
			break
		}
		for len(rdn) < maxAttributes && set.ReadASN1(&pair, der.SEQUENCE) {
			var a pkix.AttributeTypeAndValue
			var tag der.Tag
			if pair.ReadASN1ObjectIdentifier(&a.Type) && pair.ReadAnyASN1(&value, &tag) {
				a.Value = text(tag, value)
				rdn = append(rdn, a)
			}
		}
		sequence = append(sequence, rdn)
	}
	var name pkix.Name
	name.FillFromRDNSequence(&sequence)
	return nameText(name)
}

// nameText words a name. That takes time by the square of its attributes, so
// only the first of them count.
func nameText(name pkix.Name) string {
	if len(name.Names) > maxAttributes {
		var few pkix.RDNSequence
		for _, a := range name.Names[:maxAttributes] {
			few = append(few, pkix.RelativeDistinguishedNameSET{a})
		}
		name = pkix.Name{}
		name.FillFromRDNSequence(&few)
	}
	return printable(name.String(), MaxName)
}

// text gives the characters of a string of any kind. Two kinds have more than
// one byte for each; all else is taken as it is, and what does not print is
// replaced in the end.
func text(tag der.Tag, value []byte) string {
	var width int
	switch tag {
	case der.T61String: // taken as Latin-1, as crypto/x509 does
		width = 1
	case der.Tag(asn1.TagBMPString):
		width = 2
	case der.Tag(28): // UniversalString
		width = 4
	default:
		return string(value)
	}
	var out []rune
	for ; len(value) >= width; value = value[width:] {
		var r rune
		for _, c := range value[:width] {
			r = r<<8 | rune(c)
		}
		out = append(out, r)
	}
	return string(out)
}

// timeLayouts are the two forms of RFC 5280 section 4.1.2.5, with the two or
// four digits of a year, and those that X.509 allowed before it.
var timeLayouts = map[der.Tag][]string{
	der.UTCTime: {"060102150405Z0700", "0601021504Z0700", "060102150405"},
	der.GeneralizedTime: {
		"20060102150405Z0700", "200601021504Z0700", "20060102150405.999999999Z0700", "20060102150405",
	},
}

// readTime gives the zero time for what is none, or cannot be written as RFC
// 3339 demands.
func readTime(s *cryptobyte.String) time.Time {
	var value cryptobyte.String
	var tag der.Tag
	if !s.ReadAnyASN1(&value, &tag) {
		return time.Time{}
	}
	for _, layout := range timeLayouts[tag] {
		t, err := time.Parse(layout, string(value))
		if err != nil {
			continue
		}
		if t = t.UTC(); tag == der.UTCTime && t.Year() >= 2050 {
			t = t.AddDate(-100, 0, 0)
		}
		if t.Year() < 0 || t.Year() > 9999 {
			break
		}
		return t
	}
	return time.Time{}
}

// setRawSANs looks for the subject alternative names in what follows the key.
func setRawSANs(facts *probes.Certificate, rest cryptobyte.String) {
	var value, list, extension, names cryptobyte.String
	var tag der.Tag
	for rest.ReadAnyASN1(&value, &tag) {
		if tag != extensions || !value.ReadASN1(&list, der.SEQUENCE) {
			continue
		}
		for list.ReadASN1(&extension, der.SEQUENCE) {
			var id asn1.ObjectIdentifier
			var octets cryptobyte.String
			if extension.ReadASN1ObjectIdentifier(&id) && id.Equal(oidSAN) &&
				extension.SkipOptionalASN1(der.BOOLEAN) &&
				extension.ReadASN1(&octets, der.OCTET_STRING) &&
				octets.ReadASN1(&names, der.SEQUENCE) {
				addRawSANs(facts, names)
			}
		}
	}
}

var oidSAN = asn1.ObjectIdentifier{2, 5, 29, 17}

// addRawSANs keeps the order of [Certificate]: by kind.
func addRawSANs(facts *probes.Certificate, names cryptobyte.String) {
	const mail, dns, uri, ip = 1, 2, 6, 7
	for _, kind := range []der.Tag{dns, ip, mail, uri} {
		var value cryptobyte.String
		var tag der.Tag
		for rest := names; rest.ReadAnyASN1(&value, &tag); {
			if tag != kind.ContextSpecific() {
				continue
			}
			facts.SANsCount++
			if len(facts.SANs) < probes.MaxSANs {
				facts.SANs = append(facts.SANs, printable(sanText(kind == ip, kind == uri, value), MaxName))
			}
		}
	}
}

func sanText(ip, uri bool, value []byte) string {
	switch {
	case ip && (len(value) == net.IPv4len || len(value) == net.IPv6len):
		return net.IP(value).String()
	case ip:
		return fmt.Sprintf("address %s", hex.EncodeToString(value[:min(len(value), MaxName)]))
	case uri:
		if u, err := url.Parse(string(value)); err == nil {
			return u.String()
		}
	}
	return string(value)
}
