package inventory

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// The longest strings that are kept, in bytes, each ample for honest values:
// a DNS name has at most 253, a distinguished name in use well below 512.
const (
	maxWord = 64  // service, probe, ciphers
	maxName = 256 // product, version, names, rule, operating system
	maxText = 512 // info, distinguished names, errors

	// maxMark holds what package fingerprint writes: 2,200 characters, beyond
	// which the last answer may go with 900 bytes of 4 characters each, and a
	// header, are 5.9 KB. A longer one is cut, and of no use to a machine.
	maxMark = 6 << 10

	maxNames = 8
	maxCPEs  = 8
	maxTLS   = maxNames // one for each
)

// clean gives the observation as it may be kept: strings of bounded length
// without control characters, lists of bounded length, and the endpoint's own
// address. What it is given is not modified.
func clean(o probes.Observation, k event.Key) probes.Observation {
	o.Addr, o.Port, o.Transport = k.Addr, k.Port, k.Transport
	if o.State == "" && proofOf(&o) == there {
		o.State = probes.Open
	}
	o.Reason = cleanString(o.Reason, maxName)
	o.Names = cleanList(o.Names, maxNames, maxName)
	o.Service = cleanString(o.Service, maxWord)
	o.Product = cleanString(o.Product, maxName)
	o.Version = cleanString(o.Version, maxName)
	o.Info = cleanString(o.Info, maxText)
	o.Hostname = cleanString(o.Hostname, maxName)
	o.OS = cleanString(o.OS, maxName)
	o.Device = cleanString(o.Device, maxName)
	o.CPE = cleanList(o.CPE, maxCPEs, maxName)
	o.Probe = cleanString(o.Probe, maxWord)
	o.Rule = cleanString(o.Rule, maxName)
	o.Fingerprint = cleanString(o.Fingerprint, maxMark)
	o.Database = cleanString(o.Database, maxName)
	o.Asked = cleanList(o.Asked, maxAsked, maxWord)
	o.TLS = cleanTLS(o.TLS)
	o.RPC = o.RPC[:min(len(o.RPC), probes.MaxRPC)]
	o.SSHHostKey = cleanHostKey(o.SSHHostKey)
	o.Evidence = cleanEvidence(o.Evidence)
	return o
}

func cleanTLS(list []probes.TLSFacts) []probes.TLSFacts {
	if len(list) == 0 {
		return nil
	}
	out := slices.Clone(list[:min(len(list), maxTLS)])
	for i := range out {
		t := &out[i]
		t.Name = cleanString(t.Name, maxName)
		t.Version = cleanString(t.Version, maxWord)
		t.Cipher = cleanString(t.Cipher, maxWord)
		t.ALPN = cleanString(t.ALPN, maxWord)
		t.Alert = cleanString(t.Alert, maxName)
		t.Offered = cleanString(t.Offered, maxName)
		t.ClientCert = cleanString(t.ClientCert, maxWord)
		if t.Certificate != nil {
			t.Certificate = cleanCertificate(t.Certificate)
		}
	}
	return out
}

func cleanCertificate(in *probes.Certificate) *probes.Certificate {
	c := *in
	c.Subject = cleanString(c.Subject, maxText)
	c.Issuer = cleanString(c.Issuer, maxText)
	c.SANsCount = max(c.SANsCount, len(c.SANs))
	c.SANs = cleanList(c.SANs, probes.MaxSANs, maxName)
	c.NotBefore, c.NotAfter = cleanTime(c.NotBefore), cleanTime(c.NotAfter)
	c.Key = cleanString(c.Key, maxWord)
	c.SHA256 = cleanString(c.SHA256, maxWord)
	c.Error = cleanString(c.Error, maxText)
	return &c
}

func cleanHostKey(in *probes.SSHHostKey) *probes.SSHHostKey {
	if in == nil {
		return nil
	}
	return &probes.SSHHostKey{Type: cleanString(in.Type, maxWord), SHA256: cleanString(in.SHA256, maxWord)}
}

func cleanEvidence(in *probes.Evidence) *probes.Evidence {
	if in == nil {
		return nil
	}
	e := *in
	e.Probe = cleanString(e.Probe, maxWord)
	e.Rule = cleanString(e.Rule, maxName)
	e.Database = cleanString(e.Database, maxName)
	if len(e.Answer) > MaxEvidence {
		e.Answer, e.Truncated = e.Answer[:MaxEvidence], true
	}
	e.Answer = slices.Clone(e.Answer)
	return &e
}

func cleanList(list []string, count, length int) []string {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, 0, min(len(list), count))
	for _, s := range list[:min(len(list), count)] {
		out = append(out, cleanString(s, length))
	}
	return out
}

// cleanString cuts s to at most limit bytes at the border of a character, and
// puts a dot for each one that does not print: control characters, line and
// paragraph separators, marks that change the direction of writing, and bytes
// that are not UTF-8. Most strings come back as they are.
func cleanString(s string, limit int) string {
	if len(s) > limit {
		for limit > 0 && !utf8.RuneStart(s[limit]) {
			limit--
		}
		s = s[:limit]
	}
	if !strings.ContainsFunc(s, unprintable) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return '.'
		}
		return r
	}, s)
}

func unprintable(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }

// cleanTime drops what JSON cannot express: RFC 3339 has years of four digits.
func cleanTime(t time.Time) time.Time {
	if y := t.Year(); y < 0 || y > 9999 {
		return time.Time{}
	}
	return t.UTC()
}
