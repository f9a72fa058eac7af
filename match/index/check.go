package index

import (
	"bytes"
	"strings"
)

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
