package engine

import (
	"math/bits"
	"slices"

	"sonde/match/syntax"
)

// This file is the engine that says, in time linear in the subject, whether a
// regular pattern matches at all.
//
// It is Glushkov's automaton in a bit vector. Every byte that the program can
// consume at one place of the pattern is a position; the automaton is in all
// positions at once that the bytes so far can end in. From most positions the
// next one is the only way on (the bytes of a string), so a shift takes all of
// them along; the others have a set of successors each.
//
// It is built in the machine's own memory when it is needed, which is seldom:
// tables for all programs would take more than the programs.

// maxPositions is how many positions an automaton may have: eight words. The
// tables take 256 × 8 words for the bytes and at most 512 × 8 for successors,
// 48 KiB. A subject of 64 KiB then takes at most some milliseconds.
const maxPositions = 512

const maxWords = maxPositions / 64

type vector [maxWords]uint64

func (v *vector) add(i int) { v[i>>6] |= 1 << (i & 63) }

// An automaton is the memory for one.
type automaton struct {
	words   int         // of each vector that are used
	base    []int32     // first position of each instruction
	byByte  [256]vector // positions that consume a byte
	shift   vector      // positions that only the next one follows
	follow  []vector    // of the others: their successors
	accept  vector      // positions after which the pattern has matched
	atEnd   vector      // the same where the subject ends, or a final LF follows
	veryEnd vector      // the same where the subject ends
	seen    []uint32    // generation in which a closure came by an instruction
	gen     uint32
	work    int // of building, about a nanosecond each
}

// isExact reports whether the automaton accepts just what the program matches.
// Where it does not it accepts more: look-around is taken to hold, what is
// atomic to be as free as any group, and an assertion amid the pattern to hold
// everywhere. That it accepts nothing is proof enough.
func isExact(p *Program) bool {
	for i := range p.insts {
		switch in := &p.insts[i]; in.op {
		case opAtomic, opLook, opPeek, opBoundary:
			return false
		case opBegin:
			if i > 0 {
				return false
			}
		case opEnd, opVeryEnd:
			if !trailing(p, i+1) {
				return false
			}
		}
	}
	return p.regular
}

// fitsAutomaton reports whether there can be an automaton for the program.
func fitsAutomaton(p *Program) bool {
	n := 0
	for i := range p.insts {
		n += positions(&p.insts[i])
	}
	return n <= maxPositions && !p.backrefs
}

// trailing reports whether only the ends of groups lie between i and a match.
func trailing(p *Program, i int) bool {
	for {
		switch in := &p.insts[i]; in.op {
		case opMatch:
			return true
		case opJump:
			i = int(in.x)
		case opSave:
			i++
		default:
			return false
		}
	}
}

// positions is how many bytes the instruction can consume at places of its own.
func positions(in *inst) int {
	switch in.op {
	case opByte, opSet, opStar:
		return 1
	case opString, opFold:
		return int(in.y)
	case opSetTimes, opUpTo:
		return int(in.x)
	}
	return 0
}

// accepts reports whether the program matches anywhere in b. It also says yes
// if it reaches the limit before it knows: only no is a proof.
func (m *Machine) accepts(p *Program, b []byte, limit int) bool {
	if m.automaton == nil {
		m.automaton = new(automaton)
	}
	a := m.automaton
	a.build(p)
	var start vector
	a.close(p, 0, &start)
	m.steps += a.work / 8
	found, work := a.run(b, &start, p.anchored, (limit-m.steps)*workPerStep)
	m.steps += work / workPerStep
	return found
}

// workPerStep is how many words are worked on in the time of one step.
const workPerStep = 4

// build fills the tables.
func (a *automaton) build(p *Program) {
	a.base = slices.Grow(a.base[:0], len(p.insts))[:len(p.insts)]
	a.seen = slices.Grow(a.seen[:0], len(p.insts))[:len(p.insts)]
	clear(a.seen)
	a.gen, a.work = 0, 256*maxWords
	n := 0
	for i := range p.insts {
		a.base[i] = int32(n)
		n += positions(&p.insts[i])
	}
	a.words = (n + 63) / 64
	a.follow = slices.Grow(a.follow[:0], n)[:n]
	clear(a.follow)
	clear(a.byByte[:])
	a.shift, a.accept, a.atEnd, a.veryEnd = vector{}, vector{}, vector{}, vector{}
	for i := range p.insts {
		a.instruction(p, int32(i))
	}
}

// instruction adds the positions of one instruction and what follows them.
func (a *automaton) instruction(p *Program, pc int32) {
	in := &p.insts[pc]
	first, n := int(a.base[pc]), positions(in)
	if n == 0 {
		return
	}
	var behind vector
	ends := a.close(p, pc+1, &behind)
	for i := range n {
		var set syntax.ByteSet
		switch in.op {
		case opByte:
			set.Add(byte(in.x))
		case opString:
			set.Add(p.lits[int(in.x)+i])
		case opFold:
			set.Add(p.lits[int(in.x)+i])
			set = set.Folded()
		default:
			set = *in.set
		}
		a.consume(first+i, &set)
		last := i == n-1
		if !last && in.op != opUpTo {
			a.shift.add(first + i)
			continue
		}
		follow := &a.follow[first+i]
		*follow = behind
		if !last {
			follow.add(first + i + 1)
		} else if in.op == opStar {
			follow.add(first)
		}
		a.end(ends, first+i)
	}
}

func (a *automaton) consume(position int, set *syntax.ByteSet) {
	a.work += set.Len()
	for w, word := range set {
		for ; word != 0; word &= word - 1 {
			a.byByte[w<<6|bits.TrailingZeros64(word)].add(position)
		}
	}
}

// An ending is how a pattern can end at a place: bits.
type ending uint8

const (
	endAnywhere  ending = 1 << iota
	endAtEnd            // where the subject ends, or a final LF follows
	endAtVeryEnd        // where the subject ends
)

// close adds to v the positions that can come next at pc, and says whether the
// pattern can end there.
func (a *automaton) close(p *Program, pc int32, v *vector) ending {
	a.gen++
	return a.walk(p, pc, v)
}

func (a *automaton) walk(p *Program, pc int32, v *vector) (ends ending) {
	for a.seen[pc] != a.gen {
		a.seen[pc] = a.gen
		a.work++
		in := &p.insts[pc]
		switch in.op {
		case opByte, opSet, opString, opFold, opSetTimes:
			v.add(int(a.base[pc]))
			return ends
		case opStar, opUpTo:
			v.add(int(a.base[pc]))
			pc++
		case opJump, opLook:
			pc = in.x
		case opSplit:
			ends |= a.walk(p, in.x, v)
			pc = in.y
		case opLoop:
			ends |= a.walk(p, in.x, v)
			pc++
		case opMatch:
			return ends | endAnywhere
		case opEnd, opVeryEnd:
			if !trailing(p, int(pc)+1) {
				pc++
				continue
			}
			if in.op == opEnd {
				return ends | endAtEnd
			}
			return ends | endAtVeryEnd
		default: // what consumes nothing; the end of an atomic group
			pc++
		}
	}
	return ends
}

// end notes how the pattern can end behind a position.
func (a *automaton) end(ends ending, position int) {
	if ends&endAnywhere != 0 {
		a.accept.add(position)
	}
	if ends&endAtEnd != 0 {
		a.atEnd.add(position)
	}
	if ends&endAtVeryEnd != 0 {
		a.veryEnd.add(position)
	}
}

// run reports whether b is accepted, or may be because the most work was done,
// and how many words were worked on.
func (a *automaton) run(b []byte, start *vector, anchored bool, most int) (found bool, work int) {
	state := vector{}
	next := *start
	for i, c := range b {
		alive, accepted := uint64(0), uint64(0)
		chars := &a.byByte[c]
		for w := range a.words {
			state[w] = next[w] & chars[w]
			alive |= state[w]
			accepted |= state[w] & a.accept[w]
		}
		switch {
		case accepted != 0 || work > most:
			return true, work
		case alive == 0 && anchored:
			return false, work
		}
		if i >= len(b)-2 && a.ends(&state, b, i+1) {
			return true, work
		}
		work += (1 + a.step(&state, &next)) * (1 + a.words)
		if !anchored {
			for w := range a.words {
				next[w] |= start[w]
			}
		}
	}
	return false, work
}

// ends reports whether the pattern may end here, pos bytes read.
func (a *automaton) ends(state *vector, b []byte, pos int) bool {
	last := pos == len(b)
	for w := range a.words {
		if last && state[w]&(a.atEnd[w]|a.veryEnd[w]) != 0 ||
			pos == len(b)-1 && b[pos] == '\n' && state[w]&a.atEnd[w] != 0 {
			return true
		}
	}
	return false
}

// step gives the positions that can come behind those of state, and how many
// sets of successors were joined for that, two counting as one.
func (a *automaton) step(state, next *vector) (joined int) {
	carry := uint64(0)
	for w := range a.words {
		shifted := state[w] & a.shift[w]
		next[w] = shifted<<1 | carry
		carry = shifted >> 63
	}
	for w := range a.words {
		for rest := state[w] &^ a.shift[w]; rest != 0; rest &= rest - 1 {
			follow := &a.follow[w<<6|bits.TrailingZeros64(rest)]
			joined++
			for v := range a.words {
				next[v] |= follow[v]
			}
		}
	}
	return joined / 2
}
