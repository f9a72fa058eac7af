package inventory

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// A KnownCertificate is a certificate that an endpoint was believed to show: of
// a pool there are several. It holds what tells a renewed one from another one.
type KnownCertificate struct {
	Name     string    `json:"name,omitempty"` // the SNI that was sent
	SHA256   string    `json:"sha256"`
	Subject  string    `json:"subject,omitempty"`
	Issuer   string    `json:"issuer,omitempty"`
	Names    string    `json:"names,omitempty"` // a digest of its names
	NotAfter time.Time `json:"not_after,omitzero"`
	Warned   int       `json:"warned,omitempty"` // how many of the warnings about its end are behind it
}

// maxCertificates bounds them: a pool of MaxIdentities at each of four names.
// The one shown longest ago makes room.
const maxCertificates = 4 * MaxIdentities

func knownCertificate(name string, c *probes.Certificate) KnownCertificate {
	return KnownCertificate{Name: name, SHA256: c.SHA256, Subject: c.Subject, Issuer: c.Issuer,
		Names: namesDigest(c), NotAfter: c.NotAfter}
}

// namesDigest is short, and the same for the same names in any order. Without
// names the subject is the name, as of devices.
func namesDigest(c *probes.Certificate) string {
	names := slices.Sorted(slices.Values(c.SANs))
	if len(names) == 0 {
		names = []string{c.Subject}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %q", c.SANsCount, names))
	return hex.EncodeToString(sum[:8])
}

// learnCertificates remembers the certificates of o, newest first.
func (e *Endpoint) learnCertificates(o *probes.Observation) {
	for _, t := range o.TLS {
		if t.Certificate == nil || t.Certificate.SHA256 == "" {
			continue
		}
		k := knownCertificate(t.Name, t.Certificate)
		for _, was := range e.Certificates {
			if was.SHA256 == k.SHA256 {
				k.Warned = max(k.Warned, was.Warned)
			}
		}
		at := slices.IndexFunc(e.Certificates, func(was KnownCertificate) bool {
			return was.SHA256 == k.SHA256 && was.Name == k.Name
		})
		if at >= 0 {
			e.Certificates = slices.Delete(e.Certificates, at, at+1)
		}
		e.Certificates = slices.Insert(e.Certificates, 0, k)
	}
	e.Certificates = e.Certificates[:min(len(e.Certificates), maxCertificates)]
}

// A succession is what the certificates that an endpoint never showed before
// take the place of.
type succession struct {
	strange int              // certificates that are new
	renewed int              // those of them that have names and issuer of a known one
	of      KnownCertificate // the known one, of the first renewed
}

// succession judges the new certificates of o. Each is held against all that
// are known for the same name: in a pool each member is renewed in its turn.
func (e *Endpoint) succession(o *probes.Observation) (s succession) {
	for _, t := range o.TLS {
		c := t.Certificate
		known := e.Known[fieldCert+"/"+t.Name]
		if c == nil || c.SHA256 == "" || len(known) == 0 || slices.Contains(known, c.SHA256) {
			continue
		}
		s.strange++
		now := knownCertificate(t.Name, c)
		at := slices.IndexFunc(e.Certificates, func(was KnownCertificate) bool {
			return was.Name == now.Name && was.Names == now.Names && was.Issuer == now.Issuer && now.Issuer != ""
		})
		if at < 0 {
			continue
		}
		s.renewed++
		if s.renewed == 1 {
			s.of = e.Certificates[at]
		}
	}
	return s
}

// action is what a change of these fields is told as. A certificate that
// changes together with the service is part of the service's change.
func (s *succession) action(changed []string) event.Action {
	switch {
	case s.strange == 0 || len(changed) != 1 || changed[0] != fieldCert:
		return event.ServiceChanged
	case s.renewed == s.strange:
		return event.CertificateRenewed
	default:
		return event.CertificateChanged
	}
}

// replace lets was show the certificate that was renewed, where it shows
// another one of the pool.
func (s *succession) replace(was *probes.Observation) {
	if s.renewed == 0 {
		return
	}
	was.TLS = slices.Clone(was.TLS)
	for i := range was.TLS {
		c := was.TLS[i].Certificate
		if was.TLS[i].Name == s.of.Name && c != nil && c.SHA256 != s.of.SHA256 {
			was.TLS[i].Certificate = &probes.Certificate{Subject: s.of.Subject, Issuer: s.of.Issuer,
				SHA256: s.of.SHA256, NotAfter: s.of.NotAfter}
		}
	}
}

// A certificate's end is told this long before it, and when it has come. Of
// several warnings that are due only the last is given.
var warnings = [...]time.Duration{30 * day, 7 * day, day, 0}

const day = 24 * time.Hour

// warningsDue counts the warnings that are due with this long left.
func warningsDue(left time.Duration) (n int) {
	for n < len(warnings) && left <= warnings[n] {
		n++
	}
	return n
}

// judgeCertificates warns of the end of the known certificates that the visit
// saw, once each. It waits while our clock is not to be believed.
func (d *decision) judgeCertificates() {
	if d.visit.Unsynced {
		return
	}
	for _, t := range d.seen.TLS {
		c := t.Certificate
		if c == nil || c.SHA256 == "" || c.NotAfter.IsZero() {
			continue
		}
		left := c.NotAfter.Sub(d.visit.At)
		if due := warningsDue(left); d.warn(c.SHA256, due) {
			d.tellEnd(t, left, due == len(warnings))
		}
	}
}

// warn tells whether the warning is due for the first time, and notes it for
// the certificate under each name.
func (d *decision) warn(sum string, due int) (first bool) {
	for i := range d.Certificates {
		if k := &d.Certificates[i]; k.SHA256 == sum && k.Warned < due {
			k.Warned, first = due, true
		}
	}
	return first
}

// tellEnd tells of one certificate. It comes first in the event's list.
func (d *decision) tellEnd(t probes.TLSFacts, left time.Duration, over bool) {
	a := event.CertificateExpiring
	if over {
		a = event.CertificateExpired
	}
	ev := d.event(a, event.CauseTarget)
	o := *ev.Endpoint
	o.TLS = append([]probes.TLSFacts{t}, slices.DeleteFunc(slices.Clone(o.TLS), func(x probes.TLSFacts) bool {
		return x.Name == t.Name
	})...)
	ev.Endpoint = &o
	days := int(math.Floor(left.Hours() / 24))
	ev.DaysLeft = &days
	d.tell(ev)
}

// certificateText names the first certificate of o for people.
func certificateText(o *probes.Observation) string {
	if o == nil {
		return "none"
	}
	for _, t := range o.TLS {
		c := t.Certificate
		if c == nil || c.SHA256 == "" {
			continue
		}
		const enough = 12 // hex digits; people compare, receivers have the field
		s := c.SHA256[:min(len(c.SHA256), enough)]
		if who := cleanString(strings.TrimSpace(c.Subject), 2*maxWord); who != "" {
			s += " of " + who
		}
		return s
	}
	return "none"
}
