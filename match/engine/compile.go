package engine

import (
	"slices"

	"sonde/match/syntax"
)

// A Compiler turns trees into programs. Programs of one Compiler share equal
// byte sets. The zero value is ready; it serves one goroutine.
type Compiler struct {
	sets map[syntax.ByteSet]*syntax.ByteSet
}

// Compile gives the program for a pattern. Its only error is ErrTooLarge.
func (c *Compiler) Compile(re *syntax.Regexp) (*Program, error) {
	if c.sets == nil {
		c.sets = make(map[syntax.ByteSet]*syntax.ByteSet)
	}
	e := emitter{c: c, fuel: 4 * MaxInstructions, backrefs: hasBackref(re.Root)}
	e.node(re.Root)
	e.emit(inst{op: opMatch})
	if e.full {
		return nil, ErrTooLarge
	}
	p := &Program{
		insts:    slices.Clip(e.insts),
		lits:     e.lits,
		groups:   re.Groups,
		outer:    e.outer,
		choices:  e.choices,
		minLen:   re.MinLen,
		anchored: re.Root.Anchored(),
		backrefs: e.backrefs,
		regular:  !e.possessive,
	}
	c.link(p)
	p.automaton = fitsAutomaton(p)
	p.strategy = strategy(p)
	return p, nil
}

func (c *Compiler) share(s syntax.ByteSet) *syntax.ByteSet {
	if p := c.sets[s]; p != nil {
		return p
	}
	p := &s
	c.sets[s] = p
	return p
}

// An emitter writes the instructions of one program.
type emitter struct {
	c        *Compiler
	insts    []inst
	lits     []byte
	outer    []uint16 // Program.outer
	loop     uint16   // inst.loop of a choice at this place
	choices  int
	backrefs bool // the pattern has back-references

	possessive bool // a loop over a set is possessive as written

	// fuel is what is left of the nodes that may be visited. Unrolling visits
	// nodes again, and those of empty groups yield no instruction, so the
	// size of the program alone would not bound the work.
	fuel int
	full bool
}

// emit appends in and gives its place.
func (e *emitter) emit(in inst) int {
	if len(e.insts) >= MaxInstructions {
		e.full = true
		return len(e.insts) - 1
	}
	switch in.op {
	case opSplit, opLoop, opStar, opUpTo:
		in.memo = int32(e.choices)
		in.loop = e.loop
		e.choices++
		for l := e.loop; l > 0; l = e.outer[l-1] {
			e.choices++
		}
	}
	e.insts = append(e.insts, in)
	return len(e.insts) - 1
}

// register gives a new register.
func (e *emitter) register() int32 {
	if len(e.outer) >= MaxInstructions {
		e.full = true
		return 0
	}
	e.outer = append(e.outer, e.loop)
	return int32(len(e.outer) - 1)
}

func (e *emitter) here() int32 { return int32(len(e.insts)) }

func (e *emitter) node(n *syntax.Node) {
	if e.fuel--; e.fuel < 0 {
		e.full = true
	}
	if e.full {
		return
	}
	switch n.Op {
	case syntax.OpLiteral:
		e.literal(n)
	case syntax.OpSet:
		e.emit(inst{op: opSet, set: e.c.share(n.Set)})
	case syntax.OpConcat:
		for _, s := range n.Subs {
			e.node(s)
		}
	case syntax.OpAlternate:
		e.alternate(n.Subs, (*emitter).node)
	case syntax.OpRepeat:
		e.repeat(n)
	case syntax.OpCapture:
		e.capture(n)
	case syntax.OpAtomic:
		e.atomic(func() { e.node(n.Subs[0]) })
	case syntax.OpLook:
		e.look(n)
	case syntax.OpBackref:
		in := inst{op: opBackref, x: int32(n.Group)}
		if n.Fold {
			in.mode = modeFold
		}
		e.emit(in)
	case syntax.OpBegin:
		e.emit(inst{op: opBegin})
	case syntax.OpEnd:
		e.emit(inst{op: opEnd})
	case syntax.OpVeryEnd:
		e.emit(inst{op: opVeryEnd})
	case syntax.OpWordBoundary, syntax.OpNotWordBoundary:
		e.emit(inst{op: opBoundary, mode: negated(n.Op == syntax.OpNotWordBoundary)})
	}
}

func negated(yes bool) mode {
	if yes {
		return modeNegate
	}
	return 0
}

func (e *emitter) literal(n *syntax.Node) {
	if set, ok := n.Single(); ok {
		if set.Len() == 1 {
			e.emit(inst{op: opByte, x: int32(set.First())})
		} else {
			e.emit(inst{op: opSet, set: e.c.share(set)})
		}
		return
	}
	op := opString
	if n.Fold {
		op = opFold
	}
	e.emit(inst{op: op, x: int32(len(e.lits)), y: int32(len(n.Lit))})
	e.lits = append(e.lits, n.Lit...)
}

// alternate emits each branch with f, tried in order.
func (e *emitter) alternate(branches []*syntax.Node, f func(*emitter, *syntax.Node)) {
	var jumps []int
	for i, b := range branches {
		if i == len(branches)-1 {
			f(e, b)
			break
		}
		split := e.emit(inst{op: opSplit})
		e.insts[split].x = e.here()
		f(e, b)
		jumps = append(jumps, e.emit(inst{op: opJump}))
		e.insts[split].y = e.here()
		if e.full {
			return
		}
	}
	for _, j := range jumps {
		e.insts[j].x = e.here()
	}
}

func (e *emitter) capture(n *syntax.Node) {
	if !e.backrefs {
		e.emit(inst{op: opSave, x: int32(2 * n.Group)})
		e.node(n.Subs[0])
		e.emit(inst{op: opSave, x: int32(2*n.Group + 1)})
		return
	}
	// A reference to a group inside that group means what it matched before,
	// so both ends change together when it closes.
	mark := e.register()
	e.emit(inst{op: opMark, x: mark})
	e.node(n.Subs[0])
	e.emit(inst{op: opClose, x: int32(n.Group), y: mark})
}

// hasBackref reports whether n holds a back-reference.
func hasBackref(n *syntax.Node) bool {
	return n.Op == syntax.OpBackref || slices.ContainsFunc(n.Subs, hasBackref)
}

// atomic emits a sub-run around body. What becomes of a loop outside it is
// decided after it, so within it only its own loops count.
func (e *emitter) atomic(body func()) {
	defer func(loop uint16) { e.loop = loop }(e.loop)
	e.loop = 0
	e.emit(inst{op: opAtomic})
	body()
	e.emit(inst{op: opAccept})
}

func (e *emitter) look(n *syntax.Node) {
	if body := n.Subs[0]; !n.Behind && isString(body) {
		e.emit(inst{op: opPeek, mode: negated(n.Negate), x: int32(len(e.lits)), y: int32(len(stringOf(body)))})
		e.lits = append(e.lits, stringOf(body)...)
		return
	}
	look := e.emit(inst{op: opLook, mode: negated(n.Negate)})
	defer func(loop uint16) { e.loop = loop }(e.loop)
	e.loop = 0
	switch {
	case !n.Behind:
		e.node(n.Subs[0])
	case n.Subs[0].Op == syntax.OpAlternate:
		e.alternate(n.Subs[0].Subs, (*emitter).behind)
	default:
		e.behind(n.Subs[0])
	}
	e.emit(inst{op: opAccept})
	e.insts[look].x = e.here()
}

// isString reports whether n is one string, matched as it stands.
func isString(n *syntax.Node) bool {
	if n.Op == syntax.OpConcat && len(n.Subs) == 1 {
		n = n.Subs[0]
	}
	return n.Op == syntax.OpLiteral && !n.Fold
}

func stringOf(n *syntax.Node) []byte {
	if n.Op == syntax.OpConcat {
		n = n.Subs[0]
	}
	return n.Lit
}

// behind emits one branch of a look-behind: back by its length, then the
// branch, which therefore ends where the look-behind stands.
func (e *emitter) behind(n *syntax.Node) {
	length, _ := n.FixedLen() // the parser has made sure
	e.emit(inst{op: opBack, x: int32(length)})
	e.node(n)
}
