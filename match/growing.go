package match

import "math"

// A Growing is the search in an answer that arrives piece by piece. It lives
// in the Scratch that it was started with, and ends when that serves another
// search or another Growing.
//
// The index goes on where it stopped, so each byte is scanned once. Candidates
// are verified when the answer is lookFactor times as long as the last time,
// unless a rule that is not soft was found then, and when it is settled. So
// however small the pieces are, all looks together cost little more than the
// last one, and what is settled is the same as if all had come at once.
type Growing struct {
	set    *Set
	sc     *Scratch
	turn   uint64 // of sc when its state was ours
	looked int    // length at the last look
	next   int    // length from which to look again
	last   Result // with no Steps
}

// lookFactor is how many times as long an answer must be to be looked at again.
// With 8 an answer of 64 KiB in segments of 64 bytes is looked at four times,
// and all looks but the last cost a seventh of it, plus what any search costs.
const lookFactor = 8

// Grow starts the search in an answer of which nothing has arrived yet.
func (s *Set) Grow(sc *Scratch) *Growing {
	sc.begin(s)
	sc.growing = Growing{set: s, sc: sc, turn: sc.turn}
	return &sc.growing
}

// Look takes the answer so far, which starts with what it was before, and gives
// a provisional result: that of the last time when candidates were verified,
// for the answer as it was then. Steps is 0 if that was not now. Once a rule
// that is not soft is the result, it stays that until the answer is settled.
func (g *Growing) Look(answer []byte) Result {
	if len(answer) < g.next {
		return g.last
	}
	return g.Settle(answer)
}

// Settle gives the result for the answer as it is now: that of Match.
func (g *Growing) Settle(answer []byte) Result {
	answer = answer[:min(len(answer), MaxAnswer)]
	if g.looked == len(answer) && g.looked > 0 {
		return g.last
	}
	if g.turn != g.sc.turn || len(answer) < g.looked {
		g.sc.begin(g.set)
		g.turn = g.sc.turn
	}
	res := g.set.match(g.sc, answer)
	g.last, g.looked, g.next = res, len(answer), lookFactor*len(answer)
	g.last.Steps = 0
	if res.Rule != nil && !res.Rule.Soft {
		g.next = math.MaxInt
	}
	return res
}
