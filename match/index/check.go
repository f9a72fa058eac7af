package index

import (
	"bytes"
	"encoding/binary"
	"slices"

	"sonde/match/syntax"
)

// A headMask compares the first HeadSize bytes at once: byte i of a subject
// that matches has the bits value[i] under mask[i]. A set of bytes becomes the
// bits that all its members share, so digits and either case of a letter are
// told from most other bytes, if not from all.
type headMask struct {
	value, mask [HeadSize / 8]uint64
}

// A Lead is the first bytes of a subject, in the form that is compared.
type Lead [HeadSize / 8]uint64

// LeadOf reads the first bytes. Missing ones are zero; the minimal length
// keeps a short subject from passing for them.
func LeadOf(b []byte) (l Lead) {
	if len(b) >= HeadSize {
		return Lead{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
	}
	var first [HeadSize]byte
	copy(first[:], b)
	return Lead{binary.LittleEndian.Uint64(first[:]), binary.LittleEndian.Uint64(first[8:])}
}

func (h *headMask) pass(l *Lead) bool {
	return (l[0]^h.value[0])&h.mask[0]|(l[1]^h.value[1])&h.mask[1] == 0
}

func newHeadMask(head []syntax.ByteSet) (h headMask) {
	for i := range head {
		value, mask := sharedBits(&head[i])
		h.value[i/8] |= uint64(value) << (8 * (i % 8))
		h.mask[i/8] |= uint64(mask) << (8 * (i % 8))
	}
	return h
}

// sharedBits gives the bits that all bytes of a set have in common.
func sharedBits(s *syntax.ByteSet) (value, mask byte) {
	all, any := byte(0xff), byte(0)
	for c := range 256 {
		if s.Contains(byte(c)) {
			all &= byte(c)
			any |= byte(c)
		}
	}
	mask = all | ^any
	return all & mask, mask
}

// A check is what a candidate must fulfil before an engine looks at it.
type check struct {
	minLen int32
	from   uint32 // its runs in Index.runs
	to     uint32
	tail   bool // the last of them is at the end
}

// A storedRun is a Run whose text lies in Index.text.
type storedRun struct {
	at     uint32
	offset int16 // of the subject, -1 where it varies
	length uint8
	fold   bool
}

// minFloating is the shortest floating run that a check looks for: shorter
// ones are nearly everywhere, and an engine finds them as fast.
const minFloating = 3

// addCheck stores what the facts say.
func (x *Index) addCheck(f *Facts) {
	c := check{minLen: int32(f.MinLen), from: uint32(len(x.runs))}
	for i, r := range f.Runs {
		tail := f.Tail && i == len(f.Runs)-1
		inHead := r.Offset >= 0 && r.Offset+len(r.Text) <= HeadSize && len(f.Head) > 0
		short := r.Offset < 0 && len(r.Text) < minFloating
		if !tail && (inHead || short || r.Offset >= maxOffset) {
			continue
		}
		if tail {
			r.Offset, c.tail = -1, true
		}
		x.runs = append(x.runs, storedRun{
			at: x.store(r.Text), offset: int16(r.Offset), length: uint8(len(r.Text)), fold: r.Fold,
		})
	}
	c.to = uint32(len(x.runs))
	x.checks = append(x.checks, c)
}

// maxOffset is where an offset counts as varying: what is kept of it is small.
const maxOffset = 1 << 14

// store appends to the text, or finds what is there already.
func (x *Index) store(text []byte) uint32 {
	if at, ok := x.places[string(text)]; ok {
		return at
	}
	at := uint32(len(x.text))
	x.text = append(x.text, text...)
	x.places[string(text)] = at
	return at
}

// Check reports whether b can match line n, as far as that is cheap to say,
// and how many bytes were read for it.
func (x *Index) Check(n int, b []byte) (ok bool, read int) {
	c := &x.checks[n]
	if len(b) < int(c.minLen) {
		return false, 0
	}
	runs := x.runs[c.from:c.to]
	if c.tail {
		last := &runs[len(runs)-1]
		runs = runs[:len(runs)-1]
		text := x.textOf(last)
		if !hasSuffix(b, text, last.fold) &&
			(b[len(b)-1] != '\n' || !hasSuffix(b[:len(b)-1], text, last.fold)) {
			return false, 0
		}
	}
	pos := 0
	for i := range runs {
		r := &runs[i]
		text := x.textOf(r)
		if r.offset >= 0 {
			pos = int(r.offset) + len(text)
			if pos > len(b) || !equal(b[r.offset:pos], text, r.fold) {
				return false, read
			}
			continue
		}
		at := find(b[pos:], text, r.fold)
		if at < 0 {
			return false, read + len(b) - pos
		}
		read += at
		pos += at + len(text)
	}
	return true, read
}

func (x *Index) textOf(r *storedRun) []byte { return x.text[r.at : r.at+uint32(r.length)] }

func hasSuffix(b, text []byte, fold bool) bool {
	return len(b) >= len(text) && equal(b[len(b)-len(text):], text, fold)
}

// equal compares b with text of the same length, which is lower case if fold.
func equal(b, text []byte, fold bool) bool {
	if !fold {
		return string(b) == string(text)
	}
	for i, c := range text {
		if lower(b[i]) != c {
			return false
		}
	}
	return true
}

// find gives the first place of text in b. A folded one is looked for by its
// rarer ends: the places of its first byte in either case.
func find(b, text []byte, fold bool) int {
	if !fold {
		return bytes.Index(b, text)
	}
	for i := 0; i+len(text) <= len(b); i++ {
		if lower(b[i]) == text[0] && equal(b[i:i+len(text)], text, true) {
			return i
		}
	}
	return -1
}

// lower gives an ASCII letter in lower case.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// sortedUnique sorts lines and drops repetitions.
func sortedUnique(lines []int32) []int32 {
	slices.Sort(lines)
	return slices.Compact(lines)
}
