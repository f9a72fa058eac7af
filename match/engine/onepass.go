package engine

// This file is the engine for programs that never have to choose.
//
// An anchored program is one-pass if at every split the bytes that can come on
// one way and those on the other are disjoint, and every loop over a set goes
// as far as it can because nothing in the set can follow it. Then there is one
// way through the program for each subject, and a run needs neither a stack
// nor visited bits. Each step but jumps and assertions reads a byte that is
// not read again, so a search is linear in the subject.

// isOnePass reports whether the program is one-pass.
func isOnePass(p *Program) bool {
	for i := range p.insts {
		switch in := &p.insts[i]; in.op {
		case opStar, opUpTo:
			if in.mode != modePossessive {
				return false
			}
		case opSplit, opLoop:
			if in.set == nil || in.next == nil || !in.set.Disjoint(in.next) || in.y > 0 && in.op == opLoop {
				return false
			}
		case opMark, opClose, opAtomic, opLook, opAccept, opBack, opBackref:
			return false
		}
	}
	return true
}

// onePass runs a one-pass program.
func (m *Machine) onePass(p *Program, b []byte) Result {
	if len(b) < p.minLen {
		return NoMatch
	}
	for i := range m.slots {
		m.slots[i] = -1
	}
	pc, pos, ok := int32(0), 0, true
	for ok {
		m.steps++
		in := &p.insts[pc]
		pc++
		switch in.op {
		case opMatch:
			m.slots[0], m.slots[1] = 0, int32(pos)
			return Match
		case opByte:
			ok = pos < len(b) && b[pos] == byte(in.x)
			pos++
		case opSet:
			ok = pos < len(b) && in.set.Contains(b[pos])
			pos++
		case opString:
			end := pos + int(in.y)
			ok = end <= len(b) && string(b[pos:end]) == string(p.lits[in.x:in.x+in.y])
			pos = end
		case opFold:
			end := pos + int(in.y)
			ok = end <= len(b) && equalFold(b[pos:end], p.lits[in.x:in.x+in.y])
			pos = end
		case opSetTimes:
			ok = m.times(in, b, pos)
			pos += int(in.x)
		case opStar, opUpTo:
			pos = m.runEnd(p, in, b, pos, false)
		case opJump:
			pc = in.x
		case opSplit:
			if pc = in.y; possible(in.set, b, pos) {
				pc = in.x
			}
		case opLoop:
			if possible(in.set, b, pos) {
				pc = in.x
			}
		case opSave:
			m.slots[in.x] = int32(pos)
		case opPeek:
			ok = m.peek(p, in, b, pos)
		default:
			ok = holds(in, b, pos)
		}
	}
	return NoMatch
}

// peek checks whether a string stands at pos, or whether it does not.
func (m *Machine) peek(p *Program, in *inst, b []byte, pos int) bool {
	end := pos + int(in.y)
	stands := end <= len(b) && string(b[pos:end]) == string(p.lits[in.x:in.x+in.y])
	return stands != (in.mode == modeNegate)
}
