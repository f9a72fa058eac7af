package probes

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"sonde/match"
	"sonde/probes/data"
	"sonde/probes/grammar"
)

// An Example is a recorded or constructed answer and what the whole database
// must say about it.
type Example struct {
	Pos       match.Position
	Rule      string // name of the rule that must win
	Transport Transport
	Probe     string // that draws the answer
	Source    string // where the answer is from
	Answer    []byte
	Want      match.Identity // every field counts; an empty one must be empty
	Soft      bool           // the rule is a softmatch
	Blocked   bool           // the rule stands for a refusal
}

// BuiltinExamples gives the examples of the built-in database.
func BuiltinExamples() ([]Example, error) {
	files, err := readAll(data.Examples(), "*.examples")
	if err != nil {
		return nil, err
	}
	var all []Example
	var errs []error
	for _, f := range files {
		list, err := ParseExamples(f.Name, f.Data)
		if err != nil {
			errs = append(errs, err)
		}
		all = append(all, list...)
	}
	return all, errors.Join(errs...)
}

// ParseExamples reads an example file. Its blocks are separated by blank
// lines; lines that begin with '#' are comments. A block is
//
//	== RULE              the rule that must win, by id or "file:line"
//	probe: tcp NULL      transport and name of the probe
//	source: TEXT         where the answer is from
//	answer: "BYTES"      in Go's syntax for strings; several lines are joined
//	service: NAME
//	product: TEXT        likewise version, info, hostname, os, device
//	cpe: cpe:/…          may be repeated
//	soft: true           for a softmatch line
//	outcome: blocked     for a line that stands for a refusal
//
// The error, a [grammar.Errors], has every mistake; the examples are the good
// ones.
func ParseExamples(name string, data []byte) ([]Example, error) {
	p := &exampleParser{name: name}
	for len(data) > 0 {
		line, rest, _ := bytes.Cut(data, []byte{'\n'})
		p.line++
		p.parseLine(string(line))
		data = rest
	}
	p.finish()
	if len(p.errs) > 0 {
		return p.list, p.errs
	}
	return p.list, nil
}

type exampleParser struct {
	name string
	line int
	list []Example
	errs grammar.Errors

	example *Example // being read, or nil
	seen    map[string]bool
	bad     bool // example has a mistake
}

func (p *exampleParser) at(offset int) match.Position {
	return match.Position{File: p.name, Line: p.line, Col: offset + 1}
}

func (p *exampleParser) fail(pos match.Position, format string, args ...any) {
	p.errs = append(p.errs, &grammar.Error{Pos: pos, Reason: fmt.Sprintf(format, args...)})
	p.bad = true
}

func (p *exampleParser) parseLine(s string) {
	switch {
	case strings.HasPrefix(s, "#"):
	case strings.Trim(s, " \t") == "":
		p.finish()
	case strings.HasPrefix(s, "== "):
		p.finish()
		p.bad = false
		p.seen = map[string]bool{}
		p.example = &Example{Pos: p.at(0), Rule: strings.TrimSpace(s[len("== "):])}
		p.example.Pos.Col = 0
		if p.example.Rule == "" {
			p.fail(p.at(len(s)), "the name of the rule is missing")
		}
	case p.example == nil:
		p.fail(p.at(0), "line outside a block: a block begins with \"== RULE\"")
	default:
		p.keyLine(s)
	}
}

func (p *exampleParser) keyLine(s string) {
	key, rest, found := strings.Cut(s, ":")
	if !found {
		p.fail(p.at(0), "want \"key: value\"")
		return
	}
	value := strings.TrimLeft(rest, " \t")
	offset := len(s) - len(value)
	value = strings.TrimRight(value, " \t")
	if value == "" {
		p.fail(p.at(offset), "%s: the value is missing", key)
		return
	}
	if p.seen[key] && key != "answer" && key != "cpe" {
		p.fail(p.at(0), "second %q in one block", key)
		return
	}
	p.seen[key] = true
	if err := p.example.set(key, value); errors.Is(err, errUnknownKey) {
		p.fail(p.at(0), "%v %q", err, key)
	} else if err != nil {
		p.fail(p.at(offset), "%s: %v", key, err)
	}
}

var errUnknownKey = errors.New("unknown key")

func (e *Example) set(key, value string) error {
	if field := fieldNamed(&e.Want, key); field != nil {
		*field = value
		return nil
	}
	switch key {
	case "probe":
		transport, name, _ := strings.Cut(value, " ")
		e.Transport, e.Probe = Transport(transport), strings.TrimSpace(name)
		if e.Transport != TCP && e.Transport != UDP || e.Probe == "" {
			return fmt.Errorf("want tcp or udp and the name of a probe, not %q", value)
		}
	case "source":
		e.Source = value
	case "answer":
		if value[0] != '"' {
			return fmt.Errorf("want a string in double quotes")
		}
		s, err := strconv.Unquote(value)
		if err != nil {
			return fmt.Errorf("not a string in Go's syntax: %.40s", value)
		}
		e.Answer = append(e.Answer, s...)
	case "cpe":
		e.Want.CPE = append(e.Want.CPE, value)
	case "soft":
		if value != "true" {
			return fmt.Errorf("want true, or no such line")
		}
		e.Soft = true
	case "outcome":
		if value != string(OutcomeBlocked) {
			return fmt.Errorf("want %s, or no such line", OutcomeBlocked)
		}
		e.Blocked = true
	default:
		return errUnknownKey
	}
	return nil
}

// identityFields names the fields of an identity that are one string, in the
// order in which they are compared and told.
var identityFields = []string{"service", "product", "version", "info", "hostname", "os", "device"}

func fieldNamed(id *match.Identity, name string) *string {
	switch name {
	case "service":
		return &id.Service
	case "product":
		return &id.Product
	case "version":
		return &id.Version
	case "info":
		return &id.Info
	case "hostname":
		return &id.Hostname
	case "os":
		return &id.OS
	case "device":
		return &id.Device
	}
	return nil
}

// finish ends the current block.
func (p *exampleParser) finish() {
	e := p.example
	if e == nil {
		return
	}
	p.example = nil
	for _, key := range []string{"probe", "source", "answer", "service"} {
		if !p.seen[key] {
			p.fail(e.Pos, "example of %s: the line %q is missing", e.Rule, key+":")
		}
	}
	if !p.bad {
		p.list = append(p.list, *e)
	}
}
