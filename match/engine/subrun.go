package engine

import "sonde/match/syntax"

// enter begins the sub-run of an atomic group or look-around.
func (m *Machine) enter(pc int32, pos int) {
	m.push(frame{kind: frameSub, pc: pc, pos: int32(pos), aux: m.sub})
	m.sub = int32(len(m.stack) - 1)
	m.push(frame{kind: frameTrail, pos: int32(len(m.trail))})
}

// accept ends the innermost sub-run with success.
func (m *Machine) accept(p *Program, pc int32, pos int) (int32, int, bool) {
	base := m.sub
	f := m.stack[base]
	in := &p.insts[f.pc]
	m.forget(int(m.stack[base+1].pos))
	m.sub = f.aux
	if in.op == opLook && in.mode == modeNegate {
		m.undo(int(base))
		return 0, 0, false
	}
	// Its choices are dropped, but what it changed must still be put back
	// when the search later backs out of it.
	keep := m.stack[:base]
	for _, g := range m.stack[base+2:] {
		if g.kind == frameSlot || g.kind == frameMark {
			keep = append(keep, g)
		}
	}
	m.steps += (len(m.stack) - len(keep)) / 8
	m.stack = keep
	if in.op == opLook {
		return in.x, int(f.pos), true
	}
	return pc + 1, pos, true
}

// undo drops all frames from base on and puts back what they changed.
func (m *Machine) undo(base int) {
	for i := len(m.stack) - 1; i >= base; i-- {
		switch f := m.stack[i]; f.kind {
		case frameSlot:
			m.slots[f.pc] = f.pos
		case frameMark:
			m.marks[f.pc] = f.pos
		}
	}
	m.steps += (len(m.stack) - base) / 8
	m.stack = m.stack[:base]
}

// backref matches what a group matched. One that took no part matches nothing,
// not even the empty string.
func (m *Machine) backref(in *inst, b []byte, pos int) (int, bool) {
	lo, hi := m.slots[2*in.x], m.slots[2*in.x+1]
	if lo < 0 {
		return 0, false
	}
	end := pos + int(hi-lo)
	m.steps += int(hi - lo)
	if end > len(b) {
		return 0, false
	}
	if in.mode != modeFold {
		return end, string(b[lo:hi]) == string(b[pos:end])
	}
	for i, c := range b[pos:end] {
		if lower(c) != lower(b[int(lo)+i]) {
			return 0, false
		}
	}
	return end, true
}

// holds checks an assertion about the place.
func holds(in *inst, b []byte, pos int) bool {
	switch in.op {
	case opBegin:
		return pos == 0
	case opEnd:
		return pos == len(b) || pos == len(b)-1 && b[pos] == '\n'
	case opVeryEnd:
		return pos == len(b)
	default: // opBoundary
		before := pos > 0 && syntax.IsWord(b[pos-1])
		after := pos < len(b) && syntax.IsWord(b[pos])
		return (before != after) != (in.mode == modeNegate)
	}
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// equalFold compares b, in any case, with lower-case s of the same length.
func equalFold(b, s []byte) bool {
	for i, c := range b {
		if lower(c) != s[i] {
			return false
		}
	}
	return true
}
