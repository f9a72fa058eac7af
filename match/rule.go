package match

import (
	"fmt"
	"strings"
)

// Position is where a line of a probe file stands.
type Position struct {
	File string
	Line int // from 1
	Col  int // byte column, from 1; 0 when the whole line is meant
}

// String gives "file:line" or "file:line:column".
func (p Position) String() string {
	if p.Col == 0 {
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// A Rule is one match or softmatch line of a service-probe file, parsed but
// not compiled: a pattern, and templates for what it says about the service.
type Rule struct {
	Pos        Position // of the line; Col is unset
	ID         string   // stable name from a "# id:" comment, else ""
	Soft       bool     // softmatch: names the service, leaves the rest open
	Blocked    bool     // the answer refuses the asker: "# outcome: blocked"
	Service    string   // as written; "ssl/x" means x inside TLS
	Pattern    string   // between its delimiters, byte for byte
	PatternCol int      // byte column of Pattern in its line, from 1
	IgnoreCase bool     // flag i
	DotAll     bool     // flag s
	Fields     Fields
}

// Name identifies the rule in output: its ID, or else "file:line".
func (r *Rule) Name() string {
	if r.ID != "" {
		return r.ID
	}
	return r.Pos.String()
}

// Fields are the templates of a Rule, as written. An empty one is absent.
type Fields struct {
	Product  string        // p
	Version  string        // v
	Info     string        // i
	Hostname string        // h
	OS       string        // o
	Device   string        // d
	CPE      []CPETemplate // cpe:, in the order written
}

// A CPETemplate is the text of one cpe:/…/ field, without "cpe:/" and without
// the closing delimiter, and the flag letters behind it (nmap's files put an
// "a" there; it has no effect).
type CPETemplate struct {
	Text  string
	Flags string
}

// Identity is what one rule says about a service. Every string is printable
// ASCII: whatever else the peer sent was replaced by '.'.
type Identity struct {
	Service  string   `json:"service,omitempty"`
	Product  string   `json:"product,omitempty"`
	Version  string   `json:"version,omitempty"`
	Info     string   `json:"info,omitempty"`
	Hostname string   `json:"hostname,omitempty"`
	OS       string   `json:"os,omitempty"`
	Device   string   `json:"device,omitempty"`
	CPE      []string `json:"cpe,omitempty"` // "cpe:/a:vendor:product:version"
}

// String is a one-line form for people: service, product, version, (info).
func (id *Identity) String() string {
	parts := make([]string, 0, 4)
	for _, s := range []string{id.Service, id.Product, id.Version} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if id.Info != "" {
		parts = append(parts, "("+id.Info+")")
	}
	return strings.Join(parts, " ")
}
