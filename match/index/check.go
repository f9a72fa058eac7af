package index

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"sonde/match/syntax"
)

// A gate is what the first HeadSize bytes of a subject and its length must be.
// Byte i of a subject that matches has the bits value[i] under mask[i]. A set of
// bytes becomes the bits that all its members share, so digits and either case
// of a letter are told from most other bytes, if not from all.
type gate struct {
	value, mask  [HeadSize / 8]uint64
	minLen, span uint32 // the length is at most span more than minLen
}

// unlimited is the span of a line without a longest subject: more than any
// length, and less than a shorter length gives when minLen is taken from it.
const unlimited = 1 << 31

// A lead is what gates look at, in the form that is compared. Missing bytes
// are zero; the minimal length keeps a short subject from passing for them.
type lead struct {
	first  [HeadSize / 8]uint64
	length uint32
}

func leadOf(b []byte) (l lead) {
	l.length = uint32(len(b))
	if len(b) >= HeadSize {
		l.first = [...]uint64{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
		return l
	}
	var first [HeadSize]byte
	copy(first[:], b)
	l.first = [...]uint64{binary.LittleEndian.Uint64(first[:]), binary.LittleEndian.Uint64(first[8:])}
	return l
}

func (g *gate) pass(l *lead) bool {
	return (l.first[0]^g.value[0])&g.mask[0]|(l.first[1]^g.value[1])&g.mask[1] == 0 &&
		l.length-g.minLen <= g.span
}

// gateOf gives the gate for a line that is one of these branches.
func gateOf(branches []Facts) (g gate) {
	head := slices.Clone(branches[0].Head)
	least, most := branches[0].MinLen, branches[0].MaxLen
	for i := range branches[1:] {
		b := &branches[i+1]
		head = head[:min(len(head), len(b.Head))]
		for j := range head {
			head[j].AddSet(b.Head[j])
		}
		least = min(least, b.MinLen)
		if most >= 0 && (b.MaxLen < 0 || b.MaxLen > most) {
			most = b.MaxLen
		}
	}
	for i := range head {
		value, mask := sharedBits(&head[i])
		g.value[i/8] |= uint64(value) << (8 * (i % 8))
		g.mask[i/8] |= uint64(mask) << (8 * (i % 8))
	}
	g.minLen, g.span = uint32(least), unlimited
	if most >= 0 {
		g.span = uint32(most - least)
	}
	return g
}

// sharedBits gives the bits that all bytes of a set have in common.
func sharedBits(s *syntax.ByteSet) (value, mask byte) {
	low := s[0] | s[1] | s[2] | s[3] // the set without the upper two bits
	for i, ones := range lowOnes {
		value, mask = shared(value, mask, i, low&ones != 0, low&^ones != 0)
	}
	value, mask = shared(value, mask, 6, s[1]|s[3] != 0, s[0]|s[2] != 0)
	return shared(value, mask, 7, s[2]|s[3] != 0, s[0]|s[1] != 0)
}

// lowOnes are the numbers below 64 that have bit 0, 1, … set.
var lowOnes = [6]uint64{
	0xAAAAAAAAAAAAAAAA, 0xCCCCCCCCCCCCCCCC, 0xF0F0F0F0F0F0F0F0,
	0xFF00FF00FF00FF00, 0xFFFF0000FFFF0000, 0xFFFFFFFF00000000,
}

// shared adds bit i, which is set in some bytes and clear in some.
func shared(value, mask byte, i int, set, clear bool) (byte, byte) {
	if set != clear {
		mask |= 1 << i
		if set {
			value |= 1 << i
		}
	}
	return value, mask
}

// A place is an offset and the number of the set of bytes that stand there.
type place struct {
	offset uint8
	set    uint16
}

// A check is what a candidate must fulfil before an engine looks at it.
type check struct {
	minLen, maxLen int32
	places         uint32 // end of its places in Index.places
	runs           uint32 // end of its runs in Index.runs
	tail           bool   // the last of them is at the end
	more           bool   // the next check will do as well
}

// A storedRun is a Run whose text lies in Index.text.
type storedRun struct {
	at     uint32
	offset int16 // of the subject, -1 where it varies
	length uint8
	rare   uint8 // the place of its rarest byte
	fold   bool
}

// minFloating is the shortest floating run that a check looks for: shorter
// ones are nearly everywhere, and an engine finds them as fast.
const minFloating = 3

// maxOffset is where an offset counts as varying: what is kept of it is small.
const maxOffset = 1 << 14

// Fits reports whether b can match line n, as far as its length, its first
// bytes and its end say.
func (x *Index) Fits(n int, b []byte) bool {
	for i := x.first[n]; ; i++ {
		if fits := x.fits(int(i), b); fits || !x.checks[i].more {
			return fits
		}
	}
}

// Contains reports whether b can match line n, as far as the literals of the
// line say, and how many bytes were read for it.
func (x *Index) Contains(n int, b []byte) (ok bool, read int) {
	for i := x.first[n]; ; i++ {
		c := &x.checks[i]
		if (c.more || i > x.first[n]) && !x.fits(int(i), b) {
			// Another branch is the one that fits.
			if !c.more {
				return false, read
			}
			continue
		}
		_, from := x.since(int(i))
		runs := x.runs[from:c.runs]
		if c.tail {
			runs = runs[:len(runs)-1]
		}
		found, r := x.contains(runs, b)
		read += r
		if found || !c.more {
			return found, read
		}
	}
}

// since gives where the places and runs of check i start.
func (x *Index) since(i int) (places, runs uint32) {
	if i == 0 {
		return 0, 0
	}
	return x.checks[i-1].places, x.checks[i-1].runs
}

func (x *Index) fits(i int, b []byte) bool {
	c := &x.checks[i]
	if len(b) < int(c.minLen) || len(b) > int(c.maxLen) {
		return false
	}
	places, _ := x.since(i)
	for _, p := range x.places[places:c.places] {
		if int(p.offset) >= len(b) || !x.sets[p.set].Contains(b[p.offset]) {
			return false
		}
	}
	if !c.tail {
		return true
	}
	last := &x.runs[c.runs-1]
	text := x.textOf(last)
	return hasSuffix(b, text, last.fold) ||
		b[len(b)-1] == '\n' && hasSuffix(b[:len(b)-1], text, last.fold)
}

// contains reports whether b has the runs, one behind the other.
func (x *Index) contains(runs []storedRun, b []byte) (ok bool, read int) {
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
		at, tries := find(b[pos:], text, int(r.rare), r.fold)
		read += tries * readPerTry
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

// readPerTry is how many bytes are read in the time that one place takes where
// a text may stand.
const readPerTry = 32

// fewTries is how many places are tried for a text by its rarest byte alone.
// Where that byte is frequent, a search by all of them is faster.
const fewTries = 8

// find gives the first place of text in b, and how many places had to be tried
// for it. Byte k is the rarest: most subjects that lack a text lack that too.
func find(b, text []byte, k int, fold bool) (at, tries int) {
	if fold {
		return findFold(b, text, k)
	}
	from := 0
	for ; tries < fewTries && from+len(text) <= len(b); tries++ {
		i := bytes.IndexByte(b[from+k:len(b)-len(text)+k+1], text[k])
		if i < 0 {
			return -1, tries
		}
		from += i
		if string(b[from:from+len(text)]) == string(text) {
			return from, tries
		}
		from++
	}
	if at = bytes.Index(b[min(from, len(b)):], text); at >= 0 {
		at += from
	}
	return at, tries
}

// findFold is find for a text in lower case that stands in either.
func findFold(b, text []byte, k int) (at, tries int) {
	at, tries = findAround(b, text, k, text[k])
	if 'a' <= text[k] && text[k] <= 'z' {
		if at >= 0 {
			b = b[:at+len(text)-1]
		}
		other, more := findAround(b, text, k, text[k]&^0x20)
		if tries += more; other >= 0 {
			return other, tries
		}
	}
	return at, tries
}

// findAround gives the first place of a folded text in b where byte k is c.
func findAround(b, text []byte, k int, c byte) (at, tries int) {
	for from := 0; from+len(text) <= len(b); from++ {
		i := bytes.IndexByte(b[from+k:len(b)-len(text)+k+1], c)
		if i < 0 {
			return -1, tries
		}
		from += i
		tries++
		if equal(b[from:from+len(text)], text, true) {
			return from, tries
		}
	}
	return -1, tries
}

// byFrequency are bytes of texts, the most frequent first.
const byFrequency = " etaonirslhdcu\r\nmpfgy-w/.b:v,=;\"01k23456789xjqz"

// rarest gives the place of the rarest byte.
func rarest(text []byte) (k int) {
	best := -1
	for i, c := range text {
		rank := strings.IndexByte(byFrequency, c)
		if rank < 0 {
			rank = len(byFrequency)
		}
		if rank > best {
			k, best = i, rank
		}
	}
	return k
}

// lower gives an ASCII letter in lower case.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}
