// Package engine runs parsed patterns over bytes and finds the same match,
// with the same groups, that PCRE2 finds: the leftmost one, and among those the
// first in the order of the pattern's alternatives.
//
// A [Program] never changes after [Compiler.Compile], so goroutines may share
// it. The memory of a search is a [Machine], which belongs to one goroutine at
// a time, grows to what the searches need, and is kept for the next.
//
// # Cost
//
// A search takes at most [MaxSteps] steps and [MaxFrames] stack entries, and
// says so when that is not enough: a limit is never taken for a miss. For
// patterns without back-references every pair of choice and place is explored
// once (see backtrack.go), so time grows with the product of both, not
// exponentially.
package engine

import (
	"errors"

	"sonde/match/syntax"
)

// MaxSubject is the longest subject in bytes. Positions fit in 17 bits, and
// the largest answer that a session reads is 64 KiB.
const MaxSubject = 1 << 16

// MaxSteps is how many steps one search may take. A step is one instruction,
// one byte that a loop looks at, or bytesPerStep bytes that are passed many at
// a time: six passes over the largest subject (6 × 65,536), three or four
// milliseconds. The lines of public probe files need less than a tenth on
// answers of usual length.
const MaxSteps = 6 * MaxSubject

// MaxFrames is how many choices one search may hold open: four for each byte
// of the largest subject, 4 MiB at 16 bytes each.
const MaxFrames = 4 * MaxSubject

// MaxInstructions is how large a program may be: 32 bytes each, 1 MiB. Groups
// with counted quantifiers are unrolled; the largest pattern of public probe
// files needs some hundred.
const MaxInstructions = 1 << 15

// maxVisited is how many (choice, place) bits a search may keep: 4 MiB. With
// more choices the search goes on without them, under MaxSteps.
const maxVisited = 32 << 20

// ErrTooLarge is the error for a pattern whose program would be larger than
// MaxInstructions.
var ErrTooLarge = errors.New("the compiled pattern would be too large")

type opcode uint8

const (
	opMatch    opcode = iota
	opByte            // x: the byte
	opString          // x, y: offset and length in lits
	opFold            // the same in lower case, matched in either
	opSet             // set
	opSetTimes        // set, x times
	opStar            // set, any number of times, as mode says
	opUpTo            // set, at most x times, as mode says
	opJump            // to x
	opSplit           // try x, then y
	opLoop            // end of an iteration: to x again, or on; register y-1 if y > 0
	opMark            // register x = place, where an iteration begins
	opSave            // capture slot x = place
	opClose           // group x ends here; it began at register y
	opPeek            // x, y: the string stands here, or not; negate
	opAtomic          // the part up to opAccept runs on its own
	opLook            // the same, going on at x; negate
	opAccept          // end of such a part
	opBack            // x bytes back
	opBackref         // group x; fold
	opBegin
	opEnd
	opVeryEnd
	opBoundary // negate
)

// A mode says how an instruction does what it does.
type mode uint8

const (
	modeGreedy     = mode(syntax.Greedy)     // opStar, opUpTo, opLoop
	modeLazy       = mode(syntax.Lazy)       // opStar, opUpTo, opLoop
	modePossessive = mode(syntax.Possessive) // opStar, opUpTo

	modeNegate mode = 1 // opLook, opPeek, opBoundary
	modeFold   mode = 1 // opBackref
)

// An inst is one instruction. Its fields mean what the opcode says.
type inst struct {
	op   opcode
	mode mode
	// loop is one more than the register of the innermost loop around a
	// choice, if that loop can iterate without consuming; memo is the number
	// of the choice. See backtrack.go.
	loop uint16
	memo int32
	x, y int32 // opStar: x is a starShape
	// lit and n are the offset and length in lits of the string that must
	// come behind opStar and opUpTo; n is 0 where that is not known.
	lit, n int32
	// set is what may come now: for opSplit and opLoop on the way to x. next
	// is what must come behind: for opSplit and opLoop on the way that is not
	// x. A nil set says nothing.
	set, next *syntax.ByteSet
}

// A starShape says how the end of a run can be found without a look at each
// byte: 0 not at all, shapeAll it is the end of the subject, from shapeBut on
// it is the next byte c with shapeBut+c, and from shapeButTwo on the next c or
// d with shapeButTwo + c<<8 + d.
type starShape = int32

const (
	shapeAll    starShape = 1
	shapeBut    starShape = 2
	shapeButTwo starShape = 1 << 16
)

// A Program is a compiled pattern.
type Program struct {
	insts    []inst
	lits     []byte
	groups   int      // capture groups, without the whole match
	outer    []uint16 // for each register of opMark, inst.loop of its loop
	choices  int      // memo numbers
	minLen   int
	anchored bool
	backrefs bool // visited bits would be wrong
	regular  bool // no part of it is possessive as written
	// automaton tells that there is one for the program, or for more than it.
	automaton bool
	strategy  Strategy
	first     *syntax.ByteSet
	prefix    []byte // what a match starts with, as far as it is known
}

// Groups is the number of capture groups, without the whole match.
func (p *Program) Groups() int { return p.groups }

// Instructions is the size of the program.
func (p *Program) Instructions() int { return len(p.insts) }

// MinLen is the length of the shortest match.
func (p *Program) MinLen() int { return p.minLen }

// First is the set of bytes that a match can start with, nil if unknown.
func (p *Program) First() *syntax.ByteSet { return p.first }

// Anchored reports whether a match can only start where the subject does.
func (p *Program) Anchored() bool { return p.anchored }
