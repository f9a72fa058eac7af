package engine

import "sonde/match/syntax"

// times checks that a set matches x bytes.
func (m *Machine) times(in *inst, b []byte, pos int) bool {
	end := pos + int(in.x)
	if end > len(b) {
		return false
	}
	for i, c := range b[pos:end] {
		if !in.set.Contains(c) {
			m.steps += i
			return false
		}
	}
	m.steps += int(in.x)
	return true
}

// repeat starts a loop over one set: opStar or opUpTo.
func (m *Machine) repeat(p *Program, in *inst, b []byte, pc int32, pos int) (int32, int, bool) {
	if in.mode == modePossessive {
		if m.memo {
			end, ok := m.runOnce(p, in, b, pos)
			return pc + 1, end, ok
		}
		return pc + 1, m.runEnd(p, in, b, pos, false), true
	}
	if m.memo && m.seen(p, in, pos) {
		return 0, 0, false
	}
	if in.mode == modeLazy {
		left := int32(-1)
		if in.op == opUpTo {
			left = in.x
		}
		m.push(frame{kind: frameLazy, pc: pc, pos: int32(pos), aux: left})
		return pc + 1, pos, possible(in.next, b, pos)
	}
	end := m.runEnd(p, in, b, pos, m.memo && in.op == opStar)
	if end > pos {
		m.push(frame{kind: frameGreedy, pc: pc, pos: int32(end), aux: int32(pos)})
	}
	return pc + 1, end, possible(in.next, b, end)
}

// runEnd finds where the loop must stop. With marking it notes every place
// that it passes, and stops before one that was passed already.
func (m *Machine) runEnd(p *Program, in *inst, b []byte, pos int, marking bool) int {
	end, most := pos, len(b)
	if in.op == opUpTo {
		most = min(most, pos+int(in.x))
	}
	switch {
	case marking:
		for end < most && in.set.Contains(b[end]) && !m.seen(p, in, end+1) {
			end++
		}
	case in.op == opStar && in.x > 0:
		end += runLength(b[pos:], in.x)
		m.steps += (end - pos) / bytesPerStep
		return end
	default:
		for end < most && in.set.Contains(b[end]) {
			end++
		}
	}
	m.steps += end - pos
	return end
}

// runOnce is runEnd for a possessive loop with visited bits. From a place that
// the loop was at before it would come to the same end, and fail there again.
func (m *Machine) runOnce(p *Program, in *inst, b []byte, pos int) (end int, ok bool) {
	if m.seen(p, in, pos) {
		return 0, false
	}
	if in.op == opUpTo {
		return m.runEnd(p, in, b, pos, false), true // its end depends on its start
	}
	for end, ok = pos, true; ok && end < len(b) && in.set.Contains(b[end]); {
		end++
		ok = !m.seen(p, in, end)
	}
	m.steps += end - pos
	return end, ok
}

// less gives back one byte of a greedy loop, or as many as it takes to come
// to one that can follow.
func (m *Machine) less(p *Program, in *inst, b []byte, f *frame) (int, bool) {
	if in.n > 0 {
		lit := p.lits[in.lit : in.lit+in.n]
		pos := lastIndex(b[:min(int(f.pos)-1+len(lit), len(b))], int(f.aux), lit)
		m.steps += (int(f.pos) - max(pos, int(f.aux))) / bytesPerStep
		f.pos = int32(pos)
		return pos, pos >= 0
	}
	for f.pos > f.aux {
		f.pos--
		m.steps++
		if possible(in.next, b, int(f.pos)) {
			return int(f.pos), true
		}
	}
	return 0, false
}

// more takes one more byte for a lazy loop, or as many as it takes.
func (m *Machine) more(p *Program, in *inst, b []byte, f *frame) (int, bool) {
	if in.n > 0 && in.op == opStar && in.x > 0 && !m.memo {
		return m.moreUpTo(p, in, b, f)
	}
	for pos := int(f.pos); f.aux != 0 && pos < len(b) && in.set.Contains(b[pos]); {
		pos++
		f.pos, f.aux = int32(pos), f.aux-1
		m.steps++
		if m.memo && in.op == opStar && m.seen(p, in, pos) {
			return 0, false
		}
		if possible(in.next, b, pos) {
			return pos, true
		}
	}
	return 0, false
}

// moreUpTo is more for a loop with a string behind it, as far as that.
func (m *Machine) moreUpTo(p *Program, in *inst, b []byte, f *frame) (int, bool) {
	pos := int(f.pos)
	if pos >= len(b) {
		return 0, false
	}
	n := indexInRun(b[pos:], in.x, p.lits[in.lit:in.lit+in.n])
	if n < 0 {
		// What was read is at most twice the run.
		m.steps += runLength(b[pos:], in.x) / bytesPerStep
		return 0, false
	}
	m.steps += n / bytesPerStep
	f.pos = int32(pos + n)
	return pos + n, true
}

// possible reports whether the byte at pos is in the set; nil says nothing.
func possible(set *syntax.ByteSet, b []byte, pos int) bool {
	return set == nil || pos < len(b) && set.Contains(b[pos])
}
