package probes

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sonde/match"
	"sonde/probes/grammar"
)

// Load reads probe files into one database, in the order given; see [Merge]
// for how they join. It always returns a database of all that is good. The
// error, a [Problems], has every mistake of every file with its position.
// Patterns that are right but not supported are no mistakes: they are in
// Unsupported of the Database.
func Load(sources ...Source) (*Database, error) { return LoadWithout(nil, sources...) }

// LoadWithout loads as [Load] does, but leaves out the rules of the given ids.
// What an id names that no rule has, [UnknownIDs] tells.
func LoadWithout(ids []string, sources ...Source) (*Database, error) {
	db, c := load(sources, ids)
	db.Unsupported = c.take(Unsupported)
	if list := c.take(Mistake); len(list) > 0 {
		return db, list
	}
	return db, nil
}

func load(sources []Source, without []string) (*Database, *collector) {
	c := newCollector(sources)
	f := merge(sources, without, c)
	db := &Database{
		Hash:    hashOf(sources, without),
		Exclude: f.Exclude,
		byName:  make(map[nameKey]*Probe, len(f.Probes)),
		own:     make(map[string]bool),
	}
	for _, s := range sources {
		db.own[s.Name] = s.Own || s.Overlay
	}
	for _, g := range f.Probes {
		p := newProbe(g, c)
		db.probes = append(db.probes, p)
		if key := (nameKey{string(p.Transport), p.Name}); db.byName[key] == nil {
			db.byName[key] = p
		}
		if p.IsNull() {
			db.null = p
		}
	}
	for i, g := range f.Probes {
		db.link(db.probes[i], g.Fallbacks, c)
	}
	return db, c
}

func newProbe(g *grammar.Probe, c *collector) *Probe {
	p := &Probe{
		Transport:  Transport(strings.ToLower(g.Protocol)),
		Name:       g.Name,
		Payload:    g.Payload,
		Pos:        g.Pos,
		NoPayload:  g.NoPayload,
		SourcePort: g.SourcePort,
		Needs:      g.Needs,
		WaitNull:   g.WaitNull,
		Ports:      g.Ports,
		TLSPorts:   g.TLSPorts,
		Rarity:     cmp.Or(g.Rarity, DefaultRarity),
		TotalWait:  cmp.Or(g.TotalWait, DefaultTotalWait),
		TCPWrapped: cmp.Or(g.TCPWrapped, DefaultTCPWrapped),
		services:   make(map[string]bool),
		completes:  g.Completes,
	}
	for i := range g.Rules {
		p.services[g.Rules[i].Service] = true
	}
	var err error
	p.list, err = match.CompileList(g.Rules)
	c.addRules(err)
	return p
}

// link builds the search chain: own list, fallbacks, NULL.
func (db *Database) link(p *Probe, fallbacks []grammar.Fallback, c *collector) {
	p.chain = []*Probe{p}
	for _, f := range fallbacks {
		to := db.resolve(p.Transport, f.Name)
		if to == nil {
			c.add(Mistake, f.Pos, fmt.Sprintf("fallback %q: there is no such probe", f.Name))
			continue
		}
		p.extend(to)
	}
	if p.Transport == TCP && db.null != nil {
		p.extend(db.null)
	}
	lists := make([]*match.List, len(p.chain))
	for i, q := range p.chain {
		lists[i] = q.list
	}
	p.search = match.NewSet(lists...)
}

func (p *Probe) extend(q *Probe) {
	if !slices.Contains(p.chain, q) {
		p.chain = append(p.chain, q)
	}
}

// resolve finds the probe that a fallback names: of the same transport, or
// else of the other.
func (db *Database) resolve(t Transport, name string) *Probe {
	other := TCP
	if t == TCP {
		other = UDP
	}
	return cmp.Or(db.Lookup(t, name), db.Lookup(other, name))
}
