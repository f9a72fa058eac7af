package engine

import (
	"bytes"

	"sonde/match/syntax"
)

// link fills in what may follow each choice, so that a way that must fail on
// its first byte is not taken. It never changes which match is found.
func (c *Compiler) link(p *Program) {
	f := firsts{p: p, seen: make([]uint32, len(p.insts))}
	for i := range p.insts {
		in := &p.insts[i]
		switch in.op {
		case opSplit:
			in.set, in.next = f.from(c, in.x), f.from(c, in.y)
		case opLoop:
			in.set, in.next = f.from(c, in.x), f.from(c, int32(i+1))
		case opStar, opUpTo:
			in.next = f.from(c, int32(i+1))
			if in.next != nil && in.set.Disjoint(in.next) {
				// Wherever the loop could stop early the byte that comes is
				// one that cannot follow it, so trying that is futile.
				in.mode = modePossessive
			}
			if in.op == opStar {
				in.x = shape(in.set)
			}
			if in.mode != modePossessive {
				in.lit, in.n = p.follow(int32(i + 1))
			}
		}
	}
	p.first = f.from(c, 0)
	if p.anchored {
		return
	}
	lit, n := p.follow(0)
	if n == 0 && p.first != nil && p.first.Len() == 1 {
		lit, n = p.literal([]byte{p.first.First()})
	}
	p.prefix = p.lits[lit : lit+n]
}

// maxFollow is how long a string that follows is looked for at once.
const maxFollow = 32

// follow gives the string that a way from pc on must start with, as its place
// in lits.
func (p *Program) follow(pc int32) (lit, n int32) {
	var text []byte
	for len(text) < maxFollow {
		in := &p.insts[pc]
		switch in.op {
		case opByte:
			text = append(text, byte(in.x))
		case opString:
			text = append(text, p.lits[in.x:in.x+in.y]...)
		case opSave, opMark, opClose:
		default:
			return p.literal(text)
		}
		pc++
	}
	return p.literal(text)
}

// literal gives the place of text in lits, where it is put if need be.
func (p *Program) literal(text []byte) (lit, n int32) {
	if len(text) == 0 {
		return 0, 0
	}
	at := bytes.Index(p.lits, text)
	if at < 0 {
		at = len(p.lits)
		p.lits = append(p.lits, text...)
	}
	return int32(at), int32(len(text))
}

func shape(set *syntax.ByteSet) starShape {
	switch out := set.Not(); out.Len() {
	case 0:
		return shapeAll
	case 1:
		return shapeBut + starShape(out.First())
	case 2:
		one := out.First()
		out[one>>6] &^= 1 << (one & 63)
		return shapeButTwo + starShape(one)<<8 + starShape(out.First())
	}
	return 0
}

// firsts computes which bytes can come first from an instruction on.
type firsts struct {
	p     *Program
	seen  []uint32 // generation in which an instruction was visited
	gen   uint32
	set   syntax.ByteSet
	empty bool // the program may end, or go on unseen, before a byte
	work  int
}

// maxFirstWork bounds one walk: long chains of optional parts would make the
// walks quadratic. Beyond it nothing is known, which is always correct.
const maxFirstWork = 512

// from gives the set for the instruction at pc, nil if it would not help.
func (f *firsts) from(c *Compiler, pc int32) *syntax.ByteSet {
	f.gen++
	f.set, f.empty, f.work = syntax.ByteSet{}, false, 0
	f.walk(pc)
	if f.empty || f.set.Len() == 256 {
		return nil
	}
	return c.share(f.set)
}

func (f *firsts) walk(pc int32) {
	for !f.empty && f.seen[pc] != f.gen {
		f.seen[pc] = f.gen
		if f.work++; f.work > maxFirstWork {
			f.empty = true
			return
		}
		in := &f.p.insts[pc]
		switch in.op {
		case opByte:
			f.set.Add(byte(in.x))
			return
		case opString, opFold:
			var s syntax.ByteSet
			s.Add(f.p.lits[in.x])
			if in.op == opFold {
				s = s.Folded()
			}
			f.set.AddSet(s)
			return
		case opSet, opSetTimes:
			f.set.AddSet(*in.set)
			return
		case opStar, opUpTo:
			f.set.AddSet(*in.set)
			pc++
		case opJump:
			pc = in.x
		case opSplit:
			f.walk(in.x)
			pc = in.y
		case opLoop:
			f.walk(in.x)
			pc++
		case opLook:
			pc = in.x
		case opMark, opSave, opClose, opPeek, opAtomic, opBegin, opBoundary:
			pc++
		case opAccept:
			// The end of an atomic group could be followed further, but that
			// of a look-around could not; both count as unknown.
			f.empty = true
		default: // opMatch, opBack, opBackref, opEnd, opVeryEnd
			f.empty = true
		}
	}
}
