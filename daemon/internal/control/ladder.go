package control

import (
	"fmt"
	"slices"

	"sonde/daemon/internal/event"
	"sonde/match"
	"sonde/probes"
)

// linesMost is how many runners-up are told.
const linesMost = 20

// Lines are those of the database that explain an answer.
type Lines struct {
	Probe     string `json:"probe"` // that drew the answer
	Tried     int    `json:"tried"` // lines of the probe's chain
	Won       *Line  `json:"won,omitempty"`
	RunnersUp []Line `json:"runners_up"`          // which would have matched, too
	More      bool   `json:"more,omitempty"`      // there may be more of them
	Cut       bool   `json:"cut,omitempty"`       // only the beginning of the answer was kept
	Undecided int    `json:"undecided,omitempty"` // lines that reached a limit
	// Stale says that another database had named it, which is matched again.
	Stale bool `json:"stale,omitempty"`
}

// A Line is one of the database.
type Line struct {
	Rule  string `json:"rule"`  // its stable id
	Place string `json:"place"` // "file:line"
	Soft  bool   `json:"soft,omitempty"`
	Is    string `json:"is"` // what it says of the answer
}

// linesOf finds the lines that explain the stored answer, nil without one. It
// takes as long as one match, which is bounded.
func linesOf(db *probes.Database, t probes.Transport, o *probes.Observation) *Lines {
	if o.Evidence == nil {
		return nil
	}
	l := &Lines{Probe: o.Evidence.Probe, RunnersUp: []Line{}, Cut: o.Evidence.Truncated, Stale: o.Evidence.Database != db.Hash}
	p := db.Lookup(t, o.Evidence.Probe)
	if p == nil {
		return l
	}
	trace := p.Search().MatchAll(match.NewScratch(), o.Evidence.Answer, linesMost+1)
	l.Tried, l.More, l.Undecided = trace.Rules, trace.More, len(trace.Undecided)
	for i := range trace.Hits {
		h := &trace.Hits[i]
		line := Line{Rule: h.Rule.Name(), Place: h.Rule.Pos.String(), Soft: h.Rule.Soft, Is: h.Identity.String()}
		if i == 0 {
			l.Won = &line
		} else {
			l.RunnersUp = append(l.RunnersUp, line)
		}
	}
	return l
}

// A Rung is one probe of the ladder, as it is climbed for this port.
type Rung struct {
	Probe  string `json:"probe"`
	Place  string `json:"place"`            // of its line
	Listed bool   `json:"listed,omitempty"` // it names this port
	Rarity int    `json:"rarity,omitempty"`
	State  string `json:"state"` // RungWon, RungAsked, RungNext or RungNever
	Why    string `json:"why,omitempty"`
}

// How a rung stands.
const (
	RungWon   = "won"   // its answer gave the identity
	RungAsked = "asked" // in some visit, and did not
	RungNext  = "next"  // not so far; the next full visit may
	RungNever = "never" // for the reason given
)

// drew says that a probe drew an answer, as the listening does, which asks nothing.
func (x *Explanation) drew(probe string) bool {
	return slices.ContainsFunc(x.Answers, func(a Answer) bool { return a.Probe == probe })
}

// climb says which probes are asked, in their order, and why others are not.
func (x *Explanation) climb(db *probes.Database, k event.Key, m *Manner) {
	tunnel := probes.NoTunnel
	won := ""
	if x.Is != nil {
		tunnel, won = x.Is.Tunnel, x.Is.Probe
	}
	add := func(p *probes.Probe, listed bool, why string) {
		r := Rung{Probe: p.Name, Place: p.Pos.String(), Listed: listed, Rarity: p.Rarity, State: RungNext, Why: why}
		switch {
		case p.Name == won:
			r.State, r.Why = RungWon, ""
		case slices.Contains(x.asked, p.Name) || x.drew(p.Name):
			r.State, r.Why = RungAsked, ""
		case why != "":
			r.State = RungNever
		case won != "":
			r.Why = "it is known without"
		case x.Next != nil && x.Next.Careful && !listed:
			r.State, r.Why = RungNever, "the host is asked with care, only by probes that name this port"
		}
		x.Ladder = append(x.Ladder, r)
	}
	if null := db.Null(); null != nil && k.Transport == probes.TCP {
		add(null, true, "")
	}
	ladder := func(intensity int, allow probes.Needs) []probes.Rung {
		return db.Ladder(probes.LadderRequest{Transport: k.Transport, Port: k.Port, Tunnel: tunnel, Intensity: intensity, Allow: allow})
	}
	asks := map[*probes.Probe]bool{}
	for _, r := range ladder(m.Intensity, m.Allow) {
		asks[r.Probe] = true
		add(r.Probe, r.Listed, "")
	}
	const all = probes.NeedCredentials | probes.NeedHeld | probes.NeedIndustrial
	for _, r := range ladder(probes.IntensityAll, all) {
		if asks[r.Probe] {
			continue
		}
		if lacks := r.Probe.Needs &^ m.Allow; lacks != 0 {
			add(r.Probe, r.Listed, "the watch does not allow it: "+lacks.String())
		} else {
			add(r.Probe, r.Listed, fmt.Sprintf("their rarity is above the intensity, %d, and they do not name this port", m.Intensity))
		}
	}
}
