package probes

import (
	"iter"
	"slices"
	"time"

	"sonde/match"
	"sonde/probes/grammar"
	"sonde/probes/ports"
)

// Needs is a set of permissions that probes may ask for; the names of its
// members are those of package grammar.
type Needs = grammar.Needs

// The permissions. See package grammar.
const (
	NeedCredentials = grammar.NeedCredentials
	NeedHeld        = grammar.NeedHeld
	NeedIndustrial  = grammar.NeedIndustrial
)

// What holds for a probe whose file does not say.
const (
	DefaultRarity     = 5
	DefaultTotalWait  = 5 * time.Second
	DefaultTCPWrapped = 2 * time.Second
)

// A Database is a set of probes and the rules that explain what they draw. It
// never changes once loaded, so any number of goroutines may share it.
type Database struct {
	// Hash is the SHA-256 of the sources' contents, in lower-case hex.
	Hash string
	// Exclude holds the ports that the files forbid to probe.
	Exclude ports.List
	// Unsupported are the rules that were left out because their patterns are
	// not understood yet, though nmap understands them.
	Unsupported Problems

	probes []*Probe
	byName map[nameKey]*Probe
	null   *Probe
	own    map[string]bool // names of the files that are part of the program, overlays too
}

// A Probe is one request, or the mere listening of the NULL probe, with the
// rules for what it draws. It must not be changed.
type Probe struct {
	Transport  Transport
	Name       string
	Payload    []byte         // empty only for the NULL probe
	Pos        match.Position // of its first Probe line
	NoPayload  bool           // not to be used for discovering ports
	SourcePort uint16         // to send from; 0: any
	Needs      Needs          // permissions without which it is not sent
	WaitNull   bool           // sent only after the full wait for a greeting

	Ports      ports.Set     // where it is tried first
	TLSPorts   ports.Set     // the same inside a tunnel
	Rarity     int           // 1 (most useful) to 9
	TotalWait  time.Duration // how long answers are read
	TCPWrapped time.Duration // a close before this, without data, is a verdict

	list     *match.List
	search   *match.Set
	chain    []*Probe
	services map[string]bool

	completes []string // services
}

// IsNull tells whether the probe only listens.
func (p *Probe) IsNull() bool { return len(p.Payload) == 0 }

// Search gives what explains an answer to this probe: its own rules, those of
// its fallbacks from left to right, and for TCP those of the NULL probe.
func (p *Probe) Search() *match.Set { return p.search }

// Chain yields the probes whose rules Search tries, in that order; the first
// is p itself.
func (p *Probe) Chain() iter.Seq[*Probe] { return slices.Values(p.chain) }

// Rules yields the probe's own rules in search order.
func (p *Probe) Rules() iter.Seq[*match.Rule] {
	return func(yield func(*match.Rule) bool) {
		for i := range p.list.Len() {
			if !yield(p.list.Rule(i)) {
				return
			}
		}
	}
}

// Engines yields the probe's own rules as Rules does, each with the name of the
// engine that searches it.
func (p *Probe) Engines() iter.Seq2[*match.Rule, string] {
	return func(yield func(*match.Rule, string) bool) {
		for i := range p.list.Len() {
			if !yield(p.list.Rule(i), p.list.Engine(i)) {
				return
			}
		}
	}
}

// Names tells whether one of the probe's own lines, a soft one included, is
// for exactly this service. Fallbacks do not count.
func (p *Probe) Names(service string) bool { return p.services[service] }

// Null gives the probe that only listens, or nil if the files have none.
func (db *Database) Null() *Probe { return db.null }

// Lookup finds a probe by name, or nil. Of several that share a name it is
// the first.
func (db *Database) Lookup(t Transport, name string) *Probe {
	return db.byName[nameKey{string(t), name}]
}

// Ordered gives the probes of a transport in file order, without NULL. The
// caller owns the slice.
func (db *Database) Ordered(t Transport) []*Probe {
	var out []*Probe
	for _, p := range db.probes {
		if p.Transport == t && !p.IsNull() {
			out = append(out, p)
		}
	}
	return out
}

// Probes yields all probes, NULL included, in file order.
func (db *Database) Probes() iter.Seq[*Probe] { return slices.Values(db.probes) }

// Rules yields all rules that are searched, in file order of their probes.
func (db *Database) Rules() iter.Seq[*match.Rule] {
	return func(yield func(*match.Rule) bool) {
		for _, p := range db.probes {
			for r := range p.Rules() {
				if !yield(r) {
					return
				}
			}
		}
	}
}
