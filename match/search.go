package match

import (
	"slices"

	"sonde/match/engine"
	"sonde/match/index"
)

// A search is the part of a Scratch that one list of a Set uses.
type search struct {
	state     index.State
	undecided []int // lines that reached a limit
}

// begin prepares for a search, or for those of one growing answer.
func (sc *Scratch) begin(s *Set) {
	sc.turn++
	if len(sc.searches) < len(s.lists) {
		sc.searches = slices.Grow(sc.searches, len(s.lists))[:len(s.lists)]
	}
	for i, l := range s.lists {
		sc.searches[i].state.Begin(l.index)
	}
}

// match searches one list after the other.
func (s *Set) match(sc *Scratch, answer []byte) Result {
	answer = answer[:min(len(answer), MaxAnswer)]
	var res Result
	sc.steps = 0
	for i, l := range s.lists {
		if l.Len() == 0 {
			continue
		}
		if sc.exhausted() {
			res.Undecided = append(res.Undecided, &l.rules[0])
			break
		}
		line, ok := l.first(sc, &sc.searches[i], answer)
		for _, u := range sc.searches[i].undecided {
			res.Undecided = append(res.Undecided, &l.rules[u])
		}
		if ok {
			res.Rule = &l.rules[line]
			res.Identity = l.fields[line].expand(sc, answer, res.Rule.Service)
		}
		if ok {
			break
		}
	}
	res.Steps = sc.steps
	return res
}

// exhausted reports whether the search took all the steps it may.
func (sc *Scratch) exhausted() bool { return sc.steps >= MaxSearchSteps }

// first finds the first line of a list that matches, and leaves its groups in
// the machine.
//
// What the fixed offsets show is verified first, for it costs next to nothing
// to find. Only when a line before the hit still waits for a literal anywhere
// is the answer scanned.
func (l *List) first(sc *Scratch, s *search, answer []byte) (line int, ok bool) {
	s.undecided = s.undecided[:0]
	waiting := s.state.Fixed(l.index, answer)
	best := l.verify(sc, s, answer, l.Len())
	if waiting < best && sc.exhausted() {
		s.undecided = append(s.undecided, waiting)
	} else if waiting < best {
		if best < l.Len() {
			sc.machine.Keep()
		}
		sc.steps += s.state.Float(l.index, answer, best)
		if hit := l.verify(sc, s, answer, best); hit < best {
			best = hit
		} else if best < l.Len() {
			sc.machine.Restore()
		}
	}
	s.settleUndecided(best)
	return best, best < l.Len()
}

// settleUndecided keeps, in order, the undecided lines before the hit.
func (s *search) settleUndecided(best int) {
	s.undecided = slices.DeleteFunc(s.undecided, func(line int) bool { return line >= best })
	slices.Sort(s.undecided)
	s.undecided = slices.Compact(s.undecided) // a line can have several keys
}

// verify asks the engine about the candidates below limit, in order, and gives
// the first that matches, or limit. Those that do not match are dropped.
func (l *List) verify(sc *Scratch, s *search, answer []byte, limit int) int {
	for line := s.state.Take(limit); line >= 0; line = s.state.Take(limit) {
		if sc.exhausted() {
			s.undecided = append(s.undecided, line)
			return limit
		}
		switch l.ask(sc, line, answer) {
		case engine.Match:
			return line
		case engine.Undecided:
			s.undecided = append(s.undecided, line)
		}
	}
	return limit
}

// ask finds whether one line matches.
func (l *List) ask(sc *Scratch, line int, answer []byte) engine.Result {
	sc.steps++
	if !l.index.Fits(line, answer) {
		return engine.NoMatch
	}
	program := l.programs[line]
	if program.Strategy() != engine.OnePass {
		// A one-pass program finds out sooner than a search for its literals.
		if len(answer) > glanceFrom {
			verdict, steps := sc.machine.Glance(program, answer)
			sc.steps += steps
			if verdict != engine.Undecided {
				return verdict
			}
		}
		ok, read := l.index.Contains(line, answer)
		sc.steps += read / bytesPerStep
		if !ok {
			return engine.NoMatch
		}
	}
	verdict, steps := sc.machine.SearchWithin(program, answer, MaxSearchSteps-sc.steps)
	sc.steps += steps
	return verdict
}

// glanceFrom is the length from which a few steps of the engine cost less than
// the search for the literals of a line; most candidates of a long answer fail
// in their first steps.
const glanceFrom = 2048

// bytesPerStep is how many bytes a search for a literal passes in the time of
// one step.
const bytesPerStep = 16

// all is first for MatchAll: it goes on behind the first hit.
func (l *List) all(sc *Scratch, s *search, answer []byte, t *Trace, limit int) {
	s.state.Fixed(l.index, answer)
	sc.steps += s.state.Float(l.index, answer, l.Len())
	for line := s.state.Next(0); line >= 0 && !t.More; line = s.state.Next(line + 1) {
		trial := Trial{Rule: &l.rules[line], Engine: l.Engine(line), Result: engine.Undecided}
		stop := sc.exhausted()
		if before := sc.steps; !stop {
			trial.Result = l.ask(sc, line, answer)
			trial.Steps = sc.steps - before
		}
		t.Candidates++
		t.Tried = append(t.Tried, trial)
		switch trial.Result {
		case engine.Match:
			if len(t.Hits) >= limit {
				t.More = true
				break
			}
			id := l.fields[line].expand(sc, answer, trial.Rule.Service)
			t.Hits = append(t.Hits, Result{Rule: trial.Rule, Identity: id})
		case engine.Undecided:
			t.Undecided = append(t.Undecided, trial.Rule)
		}
		if stop {
			return
		}
	}
}
