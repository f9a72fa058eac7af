package engine

// This file is the bounded backtracker.
//
// It walks the program depth first, in the order of preference that the
// pattern states, and keeps on a stack the ways not yet taken and the
// registers to put back. The first time that it arrives at the end is the
// match.
//
// What makes it bounded are the visited bits. A choice taken a second time at
// the same place leads to the same end, because the program unrolls counted
// groups and so keeps no counts outside its position; and the first time it
// failed, or the search would be over. So the second time can fail at once.
// One thing beside the place counts: a loop whose body can match the empty
// string goes on after an iteration that consumed something and ends after one
// that did not. So within such a loop a choice has two bits for each place, for
// an iteration that began here and for one that began before; and with d such
// loops around it d+1 bits, for an inner iteration never begins before an outer
// one. Without them the groups of a last, empty iteration would be lost.
//
// Back-references break this (the groups are part of the state); programs
// that have them run without bits and only under the step limit.
//
// Atomic groups and look-around run as sub-runs on the same stack: they end at
// opAccept, which drops their open choices. A sub-run that fails leaves its
// bits: it will always fail from there. One that succeeds takes its bits back,
// for the choices on its way did not fail, and it may be entered again.
//
// Loops over single bytes keep one stack entry, not one per byte. With bits on
// they mark each place that they pass: from a place that was passed before by
// the same loop everything behind was tried before. A possessive one that comes
// to such a place fails, for it would only end where it ended then.

// run tries to match at one start.
func (m *Machine) run(p *Program, b []byte, start, limit int) Result {
	m.stack, m.trail, m.sub = m.stack[:0], m.trail[:0], -1
	pc, pos := int32(0), start
	for ok := true; ; {
		if !ok {
			if pc, pos, ok = m.backtrack(p, b); !ok {
				return NoMatch
			}
		}
		if m.steps++; m.steps > limit || len(m.stack) > MaxFrames-2 {
			return Undecided
		}
		in := &p.insts[pc]
		switch in.op {
		case opMatch:
			m.slots[0], m.slots[1] = int32(start), int32(pos)
			return Match
		case opByte:
			ok = pos < len(b) && b[pos] == byte(in.x)
			pc, pos = pc+1, pos+1
		case opSet:
			ok = pos < len(b) && in.set.Contains(b[pos])
			pc, pos = pc+1, pos+1
		case opString:
			end := pos + int(in.y)
			ok = end <= len(b) && string(b[pos:end]) == string(p.lits[in.x:in.x+in.y])
			pc, pos = pc+1, end
		case opFold:
			end := pos + int(in.y)
			ok = end <= len(b) && equalFold(b[pos:end], p.lits[in.x:in.x+in.y])
			pc, pos = pc+1, end
		case opSetTimes:
			ok = m.times(in, b, pos)
			pc, pos = pc+1, pos+int(in.x)
		case opStar, opUpTo:
			pc, pos, ok = m.repeat(p, in, b, pc, pos)
		case opJump:
			pc = in.x
		case opSplit:
			pc, ok = m.choose(p, in, b, in.x, in.y, pos)
		case opLoop:
			pc, ok = m.again(p, in, b, pc, pos)
		case opMark:
			m.push(frame{kind: frameMark, pc: in.x, pos: m.marks[in.x]})
			m.marks[in.x] = int32(pos)
			pc++
		case opSave:
			m.setSlot(in.x, int32(pos))
			pc++
		case opClose:
			m.setSlot(2*in.x, m.marks[in.y])
			m.setSlot(2*in.x+1, int32(pos))
			pc++
		case opPeek:
			ok = m.peek(p, in, b, pos)
			pc++
		case opAtomic, opLook:
			m.enter(pc, pos)
			pc++
		case opAccept:
			pc, pos, ok = m.accept(p, pc, pos)
		case opBack:
			pos -= int(in.x)
			ok = pos >= 0
			pc++
		case opBackref:
			pos, ok = m.backref(in, b, pos)
			pc++
		default:
			ok = holds(in, b, pos)
			pc++
		}
	}
}

// backtrack undoes up to the last choice with a way left, and takes that.
func (m *Machine) backtrack(p *Program, b []byte) (pc int32, pos int, ok bool) {
	for len(m.stack) > 0 {
		top := len(m.stack) - 1
		f := &m.stack[top]
		switch f.kind {
		case frameGreedy:
			if pos, ok := m.less(p, &p.insts[f.pc], b, f); ok {
				return f.pc + 1, pos, true
			}
		case frameLazy:
			if pos, ok := m.more(p, &p.insts[f.pc], b, f); ok {
				return f.pc + 1, pos, true
			}
		}
		m.stack = m.stack[:top]
		switch f.kind {
		case frameGo:
			return f.pc, int(f.pos), true
		case frameSlot:
			m.slots[f.pc] = f.pos
		case frameMark:
			m.marks[f.pc] = f.pos
		case frameTrail:
			m.trail = m.trail[:f.pos]
		case frameSub:
			m.sub = f.aux
			if in := &p.insts[f.pc]; in.op == opLook && in.mode == modeNegate {
				return in.x, int(f.pos), true
			}
		}
	}
	return 0, 0, false
}

func (m *Machine) push(f frame) { m.stack = append(m.stack, f) }

// setSlot changes a capture slot so that backtracking puts it back. With
// nothing to come back to that is not needed: a new start clears all slots.
func (m *Machine) setSlot(slot, value int32) {
	if len(m.stack) > 0 {
		m.push(frame{kind: frameSlot, pc: slot, pos: m.slots[slot]})
	}
	m.slots[slot] = value
}

// choose goes to first, and leaves second on the stack, as far as the next
// byte allows either. in.set belongs to in.x, in.next to the other way.
func (m *Machine) choose(
	p *Program, in *inst, b []byte, first, second int32, pos int,
) (int32, bool) {
	one, two := possible(in.set, b, pos), possible(in.next, b, pos)
	if first != in.x {
		one, two = two, one
	}
	if !one && !two {
		return 0, false
	}
	if m.memo && m.seen(p, in, pos) {
		return 0, false
	}
	switch {
	case !one:
		return second, true
	case two:
		m.push(frame{kind: frameGo, pc: second, pos: int32(pos)})
	}
	return first, true
}

// again ends one iteration of a loop over a group.
func (m *Machine) again(p *Program, in *inst, b []byte, pc int32, pos int) (int32, bool) {
	if in.y > 0 && m.marks[in.y-1] == int32(pos) {
		return pc + 1, true // an empty iteration is the last
	}
	if in.mode == modeLazy {
		return m.choose(p, in, b, pc+1, in.x, pos)
	}
	return m.choose(p, in, b, in.x, pc+1, pos)
}
