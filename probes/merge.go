package probes

import (
	"fmt"
	"time"

	"sonde/match"
	"sonde/probes/grammar"
)

// Merge reads the sources and joins them into one file, which nmap can load
// too once it is printed: a Probe line with the protocol, name and payload of
// an earlier one opens that probe again, so that families in several files
// share it. The error is a [Problems] with every mistake; the file holds what
// is good.
func Merge(sources ...Source) (*grammar.File, error) {
	c := newCollector(sources)
	f := merge(sources, c)
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
}

type nameKey struct{ protocol, name string }

type probeKey struct {
	nameKey
	payload string
}

func merge(sources []Source, c *collector) *grammar.File {
	m := &merger{
		collector: c,
		file:      &grammar.File{Name: "merged"},
		probes:    map[probeKey]*grammar.Probe{},
		names:     map[nameKey]*grammar.Probe{},
	}
	for _, s := range sources {
		f, err := grammar.Parse(s.Name, s.Data)
		c.addGrammar(err)
		m.file.Exclude = m.file.Exclude.Union(f.Exclude)
		for _, p := range f.Probes {
			m.add(p)
		}
	}
	m.checkIDs()
	return m.file
}

func (m *merger) add(p *grammar.Probe) {
	name := nameKey{p.Protocol, p.Name}
	key := probeKey{name, string(p.Payload)}
	if first, ok := m.probes[key]; ok {
		m.reopen(first, p)
		return
	}
	if len(p.Payload) == 0 {
		if m.null != nil {
			m.collector.add(Mistake, p.Pos, fmt.Sprintf(
				"second probe with an empty string: the first is %s at %v", m.null.Name, m.null.Pos))
			return
		}
		m.null = p
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
}

// reopen adds to first what again says. Where both give a setting the first
// counts; what restricts a probe counts wherever it stands.
func (m *merger) reopen(first, again *grammar.Probe) {
	first.NoPayload = first.NoPayload || again.NoPayload
	first.WaitNull = first.WaitNull || again.WaitNull
	first.Needs |= again.Needs
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

// checkIDs reports ids that stand twice. The second loses its name.
func (m *merger) checkIDs() {
	seen := map[string]match.Position{}
	for _, p := range m.file.Probes {
		for i := range p.Rules {
			r := &p.Rules[i]
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
}
