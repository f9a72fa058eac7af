package engine

import (
	"slices"

	"sonde/match/syntax"
)

// repeat emits a quantified part. One byte repeated is an instruction of its
// own; anything else is unrolled, so that a place in the program says all
// about the iterations that lie behind it.
func (e *emitter) repeat(n *syntax.Node) {
	sub := n.Subs[0]
	if n.Max == 0 {
		return
	}
	if set, ok := sub.Single(); ok {
		e.repeatSet(n, set)
		return
	}
	if n.Greed == syntax.Possessive {
		greedy := *n
		greedy.Greed = syntax.Greedy
		e.atomic(func() { e.repeat(&greedy) })
		return
	}
	lazy := n.Greed == syntax.Lazy
	if n.Max == syntax.Infinite {
		e.repeatForever(n, lazy)
		return
	}
	for i := 0; i < n.Min && !e.full; i++ {
		e.node(sub)
	}
	e.optional(sub, n.Max-n.Min, lazy)
}

func (e *emitter) repeatSet(n *syntax.Node, set syntax.ByteSet) {
	shared := e.c.share(set)
	if n.Greed == syntax.Possessive && n.Min != n.Max {
		e.possessive = true
	}
	switch {
	case n.Min == 1:
		e.node(n.Subs[0])
	case n.Min > 1:
		e.emit(inst{op: opSetTimes, set: shared, x: int32(n.Min)})
	}
	switch {
	case n.Max == syntax.Infinite:
		e.emit(inst{op: opStar, set: shared, mode: mode(n.Greed)})
	case n.Max > n.Min:
		e.emit(inst{op: opUpTo, set: shared, mode: mode(n.Greed), x: int32(n.Max - n.Min)})
	}
}

// repeatForever emits x* as (x+)?, and x{n,} with n-1 copies before x+.
//
// An iteration that consumed nothing ends the loop, as in PCRE2: where x can
// match the empty string, a register holds the place at which it began.
func (e *emitter) repeatForever(n *syntax.Node, lazy bool) {
	sub := n.Subs[0]
	for i := 1; i < n.Min && !e.full; i++ {
		e.node(sub)
	}
	skip := -1
	if n.Min == 0 {
		skip = e.optionally(lazy)
	}
	start := e.here()
	loop := inst{op: opLoop, x: start, mode: mode(n.Greed)}
	if outer := e.loop; canBeEmpty(sub) {
		mark := e.register()
		e.emit(inst{op: opMark, x: mark})
		loop.y = mark + 1
		e.loop = uint16(loop.y)
		e.node(sub)
		e.loop = outer
	} else {
		e.node(sub)
	}
	e.emit(loop)
	e.land(skip, lazy)
}

// optional emits x{0,count}: each further copy stands inside the one before.
func (e *emitter) optional(sub *syntax.Node, count int, lazy bool) {
	var skips []int
	for range count {
		if e.full {
			return
		}
		skips = append(skips, e.optionally(lazy))
		e.node(sub)
	}
	for _, s := range skips {
		e.land(s, lazy)
	}
}

// optionally emits the split before an optional part; land sets where it
// goes when the part is left out.
func (e *emitter) optionally(lazy bool) int {
	s := e.emit(inst{op: opSplit})
	if lazy {
		e.insts[s].y = e.here()
	} else {
		e.insts[s].x = e.here()
	}
	return s
}

func (e *emitter) land(split int, lazy bool) {
	switch {
	case split < 0 || e.full:
	case lazy:
		e.insts[split].x = e.here()
	default:
		e.insts[split].y = e.here()
	}
}

// canBeEmpty reports whether n can match without consuming. It may say yes
// where that is not so: then a register is kept for nothing.
func canBeEmpty(n *syntax.Node) bool {
	switch n.Op {
	case syntax.OpLiteral, syntax.OpSet:
		return false
	case syntax.OpConcat:
		for _, s := range n.Subs {
			if !canBeEmpty(s) {
				return false
			}
		}
		return true
	case syntax.OpAlternate:
		return slices.ContainsFunc(n.Subs, canBeEmpty)
	case syntax.OpRepeat:
		return n.Min == 0 || canBeEmpty(n.Subs[0])
	case syntax.OpCapture, syntax.OpAtomic:
		return canBeEmpty(n.Subs[0])
	default:
		return true
	}
}
