package probes

import (
	"fmt"
	"slices"
	"time"

	"sonde/match"
	"sonde/probes/grammar"
)

// Merge reads the sources and joins them into one file, which nmap can load
// too once it is printed: a Probe line with the protocol, name and payload of
// an earlier one opens that probe again, so that families in several files
// share it. The error is a [Problems] with every mistake; the file holds what
// is good.
func Merge(sources ...Source) (*grammar.File, error) { return MergeWithout(nil, sources...) }

// MergeWithout merges as [Merge] does, but leaves out the rules of the given
// ids.
func MergeWithout(ids []string, sources ...Source) (*grammar.File, error) {
	c := newCollector(sources)
	f := merge(sources, ids, c)
	if list := c.take(Mistake); len(list) > 0 {
		return f, list
	}
	return f, nil
}

// A merger joins files.
type merger struct {
	*collector
	file   *grammar.File
	probes map[probeKey]*grammar.Probe
	names  map[nameKey]*grammar.Probe
	null   *grammar.Probe
	front  map[*grammar.Probe][]match.Rule // of overlays: to stand before a probe's own
}

type nameKey struct{ protocol, name string }

type probeKey struct {
	nameKey
	payload string
}

func merge(sources []Source, without []string, c *collector) *grammar.File {
	m := &merger{
		collector: c,
		file:      &grammar.File{Name: "merged"},
		probes:    map[probeKey]*grammar.Probe{},
		names:     map[nameKey]*grammar.Probe{},
		front:     map[*grammar.Probe][]match.Rule{},
	}
	for _, s := range sources {
		if !s.Overlay {
			m.read(s, func(p *grammar.Probe) { m.add(p) })
		}
	}
	for _, s := range sources {
		if s.Overlay {
			m.read(s, m.lay)
		}
	}
	m.checkIDs()
	for _, p := range m.file.Probes {
		p.Rules = slices.DeleteFunc(append(m.front[p], p.Rules...), func(r match.Rule) bool {
			return r.ID != "" && slices.Contains(without, r.ID)
		})
	}
	return m.file
}

func (m *merger) read(s Source, each func(*grammar.Probe)) {
	f, err := grammar.Parse(s.Name, s.Data)
	m.addGrammar(err)
	m.file.Exclude = m.file.Exclude.Union(f.Exclude)
	for _, p := range f.Probes {
		each(p)
	}
}

// lay adds a probe of an overlay: its rules go to the front.
func (m *merger) lay(p *grammar.Probe) {
	rules := p.Rules
	p.Rules = nil
	if to := m.add(p); to != nil {
		m.front[to] = append(m.front[to], rules...)
	}
}

// add gives the probe that p was joined to, p itself if it is new, or nil if
// it was refused.
func (m *merger) add(p *grammar.Probe) *grammar.Probe {
	name := nameKey{p.Protocol, p.Name}
	key := probeKey{name, string(p.Payload)}
	if first, ok := m.probes[key]; ok {
		m.reopen(first, p)
		return first
	}
	if len(p.Payload) == 0 {
		if m.null != nil {
			m.collector.add(Mistake, p.Pos, fmt.Sprintf(
				"second probe with an empty string: the first is %s at %v", m.null.Name, m.null.Pos))
			return nil
		}
		m.null = p
		p.Completes = nil // its lines do, wherever they stand
	}
	if other, ok := m.names[name]; ok {
		m.collector.add(Doubt, p.Pos, fmt.Sprintf(
			"probe %s %s sends something else at %v: by name only that one is found",
			p.Protocol, p.Name, other.Pos))
	} else {
		m.names[name] = p
	}
	m.probes[key] = p
	m.file.Probes = append(m.file.Probes, p)
	return p
}

// reopen adds to first what again says. Where both give a setting the first
// counts; what restricts a probe counts wherever it stands.
func (m *merger) reopen(first, again *grammar.Probe) {
	first.NoPayload = first.NoPayload || again.NoPayload
	first.WaitNull = first.WaitNull || again.WaitNull
	first.Needs |= again.Needs
	if first != m.null {
		first.Completes = union(first.Completes, again.Completes)
	}
	first.Ports = first.Ports.Union(again.Ports)
	first.TLSPorts = first.TLSPorts.Union(again.TLSPorts)
	first.Rules = append(first.Rules, again.Rules...)
	pick(m, first, again, "source", &first.SourcePort, again.SourcePort)
	pick(m, first, again, "rarity", &first.Rarity, again.Rarity)
	pick(m, first, again, "totalwaitms", &first.TotalWait, again.TotalWait)
	pick(m, first, again, "tcpwrappedms", &first.TCPWrapped, again.TCPWrapped)
next:
	for _, f := range again.Fallbacks {
		for _, g := range first.Fallbacks {
			if f.Name == g.Name {
				continue next
			}
		}
		if len(first.Fallbacks) == grammar.MaxFallbacks {
			m.collector.add(Mistake, f.Pos, fmt.Sprintf(
				"fallback %q: with those at %v there are more than %d", f.Name, first.Pos, grammar.MaxFallbacks))
			return
		}
		first.Fallbacks = append(first.Fallbacks, f)
	}
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

func pick[T uint16 | int | time.Duration](m *merger, first, again *grammar.Probe, word string,
	have *T, more T) {
	var none T
	switch {
	case *have == none:
		*have = more
	case more != none && more != *have:
		m.collector.add(Doubt, again.Pos, fmt.Sprintf(
			"%s of probe %s is another at %v, and that one counts", word, first.Name, first.Pos))
	}
}

// checkIDs reports ids that stand twice. The second loses its name; those of
// overlays come second.
func (m *merger) checkIDs() {
	seen := map[string]match.Position{}
	check := func(rules []match.Rule) {
		for i := range rules {
			r := &rules[i]
			if r.ID == "" {
				continue
			}
			if first, ok := seen[r.ID]; ok {
				m.collector.add(Mistake, r.Pos, fmt.Sprintf("id %q stands already at %v", r.ID, first))
				r.ID = ""
				continue
			}
			seen[r.ID] = r.Pos
		}
	}
	for _, p := range m.file.Probes {
		check(p.Rules)
	}
	for _, p := range m.file.Probes {
		check(m.front[p])
	}
}
