package session

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"sonde/match"
	"sonde/probes"
)

// laddered is a database of six probes that name each other's services.
const laddered = `
Probe TCP NULL q||
totalwaitms 3000
match hard0 m|^HARD0| p/0/
softmatch soft0 m|^SOFT0|
` + `
Probe TCP P1 q|P1|
ports 7000
match hard1 m|^HARD1| p/1/
softmatch soft2 m|^SOFT1|
Probe TCP P2 q|P2|
rarity 1
match hard2 m|^HARD2| p/2/
match soft2 m|^NARROW2| p/2/
softmatch soft4 m|^SOFT2|
Probe TCP P3 q|P3|
rarity 2
match hard3 m|^HARD3| p/3/
softmatch soft0 m|^SOFT3|
Probe TCP P4 q|P4|
rarity 9
match soft4 m|^HARD4| p/4/
match soft2 m|^NARROW4| p/4/
`

// randomPeer answers at once, or not at all: then the order in which answers
// come is the order of the probes, and any difference is of our own making.
func randomPeer(rng *rand.Rand) *peer {
	p := &peer{rtt: time.Duration(rng.IntN(20)) * time.Millisecond}
	switch rng.IntN(4) {
	case 0:
		p.queues = true
	case 1:
		p.away = []step{{do: "reset"}}
	}
	for n := range 5 {
		r := reaction{to: fmt.Sprintf("P%d", n)}
		if n == 0 {
			r.to = ""
		}
		texts := []string{
			"?", fmt.Sprintf("HARD%d", n), fmt.Sprintf("SOFT%d", n), fmt.Sprintf("NARROW%d", n),
			"HARD0", "SOFT0",
		}
		switch rng.IntN(6) {
		case 0, 1:
			continue
		case 2:
			r.steps = []step{{do: "close"}}
		case 3:
			r.steps = []step{{do: "say", text: texts[rng.IntN(len(texts))]}, {do: "close"}}
		default:
			r.steps = []step{{do: "say", text: texts[rng.IntN(len(texts))]}}
		}
		p.reactions = append(p.reactions, r)
	}
	return p
}

// However many connections are allowed, what is told is what asking one thing
// after the other tells.
func TestOverlapTellsWhatTheSequenceTells(t *testing.T) {
	type told struct {
		Outcome  probes.Outcome
		Identity string
		Strength probes.Strength
		Probe    string
	}
	for seed := range uint64(3000) {
		var first told
		for _, connections := range []int{1, 2, 4} {
			p := randomPeer(rand.New(rand.NewPCG(seed, 7)))
			s := newSim(t, proberOf(t, laddered, connections).NewMachine(boxEndpoint, Remembered{}, match.NewScratch()), p)
			o := s.run()
			got := told{o.Outcome, o.Identity.String(), o.Strength, o.Probe}
			switch {
			case s.most > connections && s.most > 1:
				t.Errorf("seed %d: %d connections at once of %d", seed, s.most, connections)
			case connections == 1:
				first = got
			case got != first:
				t.Errorf("seed %d, %d connections: %+v, in sequence %+v; peer %+v, errors %q",
					seed, connections, got, first, p, o.Errors)
			}
		}
		if t.Failed() {
			return
		}
	}
}
