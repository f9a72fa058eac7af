package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// An Expected is one entry of the accepted state: what may be found at an
// address. It only marks events, and changes nothing of what is asked or told.
type Expected struct {
	Address Range
	Port    PortKey // the zero PortKey: any
	Service string  // "" for any
	Product string  // "" for any
	Owner   string
	Until   time.Time // the first instant at which it no longer holds; zero: none
}

// A PortKey names a port of one transport, "tcp" or "udp".
type PortKey struct {
	Transport string
	Port      uint16
}

// A Finding is what an event says of an address, to be held against the
// accepted state.
type Finding struct {
	At      time.Time
	Addr    netip.Addr
	Port    PortKey // zero: the host as a whole
	Service string
	Product string
	Gone    bool
}

// An AcceptedState is the entries of all files in expected.d.
type AcceptedState []Expected

// Judge says whether a finding agrees with the accepted state, and whose the
// target is; known is false where no entry is about the address. What is found
// agrees if an entry names it; what is gone agrees if no entry names its port.
func (s AcceptedState) Judge(f Finding) (agrees, known bool, owner string) {
	a := f.Addr.Unmap()
	for i := range s {
		e := &s[i]
		if !e.Until.IsZero() && !f.At.Before(e.Until) || !e.Address.Contains(a) {
			continue
		}
		if !known {
			known, agrees = true, f.Gone && f.Port != (PortKey{})
		}
		if owner == "" {
			owner = e.Owner
		}
		named := e.Port == f.Port && e.Port != (PortKey{})
		switch {
		case f.Gone && named:
			return false, true, e.Owner
		case !f.Gone && e.accepts(&f):
			return true, true, e.Owner
		}
	}
	return agrees, known, owner
}

// accepts tells whether the entry names what was found. A host is accepted by
// any entry of its address.
func (e *Expected) accepts(f *Finding) bool {
	if f.Port == (PortKey{}) {
		return true
	}
	return (e.Port == (PortKey{}) || e.Port == f.Port) &&
		(e.Service == "" || e.Service == f.Service) && (e.Product == "" || e.Product == f.Product)
}

var expectedTable = table[Expected]{
	"address": parsed(func(e *Expected) *Range { return &e.Address }, `"192.0.2.10"`, ParseRange),
	"port":    parsed(func(e *Expected) *PortKey { return &e.Port }, `"443/tcp"`, parsePortKey),
	"service": text(func(e *Expected) *string { return &e.Service }, checkExpectedText),
	"product": text(func(e *Expected) *string { return &e.Product }, checkExpectedText),
	"owner":   text(func(e *Expected) *string { return &e.Owner }, checkExpectedText),
	"until":   parsed(func(e *Expected) *time.Time { return &e.Until }, `"2027-03-31"`, parseUntil),
}

// parsePortKey reads "443/tcp", "53/udp" and "443", which is of TCP.
func parsePortKey(s string) (PortKey, error) {
	number, transport, given := strings.Cut(s, "/")
	if !given {
		transport = "tcp"
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 || transport != "tcp" && transport != "udp" {
		return PortKey{}, fmt.Errorf(`%.80q is no port; write one like "443/tcp" or "53/udp"`, s)
	}
	return PortKey{transport, uint16(n)}, nil
}

// parseUntil reads the last day on which an entry holds, in UTC.
func parseUntil(s string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, fmt.Errorf(`%.80q is no day; write the last one on which it holds, as in "2027-03-31"`, s)
	}
	return t.AddDate(0, 0, 1), nil
}

// maxExpectedText is enough for names of products and teams.
const maxExpectedText = 256

func checkExpectedText(s string) error {
	if len(s) > maxExpectedText || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return fmt.Errorf("%.80q has control characters, or more than %d bytes", s, maxExpectedText)
	}
	return nil
}

// expectedFile reads the [[expected]] tables of one file of expected.d.
func (r *reader) expectedFile(c *Config, f Source) {
	var m map[string]any
	if _, err := toml.Decode(string(f.Data), &m); err != nil {
		r.syntax(f.Name, err)
		return
	}
	type file struct{ entries []Expected }
	var into file
	table[file]{"expected": func(r *reader, into *file, v value) {
		tables, ok := v.any.([]map[string]any)
		if !ok {
			r.bad(v, "is %s, but must be a list of tables; write [[expected]] with double brackets", kindOf(v.any))
			return
		}
		for i, t := range tables {
			e := Expected{}
			at := value{t, v.file, fmt.Sprintf("%s[%d]", v.path, i), "expected", v.place.item(i)}
			before := len(r.errs)
			expectedTable.read(r, &e, at)
			if len(r.errs) == before && !e.Address.First.IsValid() {
				r.fail(at.pos(), "expected.address", `is missing; write address = "192.0.2.10"`)
			}
			into.entries = append(into.entries, e)
		}
	}}.read(r, &into, value{m, f.Name, f.Name, "", places(string(f.Data))})
	c.Expected = append(c.Expected, into.entries...)
}
