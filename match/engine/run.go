package engine

import "bytes"

// bytesPerStep is how many bytes count as one step where they are passed many
// at a time.
const bytesPerStep = 16

// firstChunk is how far a search looks at first where what ends it may be
// near; it doubles from there. So what is read is at most twice what is
// passed, plus this, however far the next place of either byte is.
const firstChunk = 64

// runLength gives the length of the run at the start of b, as its shape, which
// is not 0, says.
func runLength(b []byte, shape starShape) int {
	switch {
	case shape == shapeAll:
		return len(b)
	case shape < shapeButTwo:
		if i := bytes.IndexByte(b, byte(shape-shapeBut)); i >= 0 {
			return i
		}
		return len(b)
	}
	one, two := byte((shape-shapeButTwo)>>8), byte(shape-shapeButTwo)
	from := 0
	for size := firstChunk; from < len(b); size *= 2 {
		chunk := b[from:min(from+size, len(b))]
		n := len(chunk)
		if i := bytes.IndexByte(chunk, one); i >= 0 {
			n = i
		}
		if i := bytes.IndexByte(chunk[:n], two); i >= 0 {
			n = i
		}
		from += n
		if n < len(chunk) {
			break
		}
	}
	return from
}

// indexInRun gives the first place behind the start of b that the run at the
// start reaches and where lit stands, or -1.
func indexInRun(b []byte, shape starShape, lit []byte) int {
	from := 1
	for size := firstChunk; from <= len(b); size *= 2 {
		// The places from, …, to-1 are looked at; the run must reach them.
		to := min(from+size, len(b)+1)
		passed := runLength(b[from-1:to-1], shape)
		to = min(to, from+passed)
		chunk := b[from:max(from, min(to-1+len(lit), len(b)))]
		if i := indexString(chunk, lit); i >= 0 {
			return from + i
		}
		if passed < size {
			return -1
		}
		from = to
	}
	return -1
}

func indexString(b []byte, lit []byte) int {
	if len(lit) == 1 {
		return bytes.IndexByte(b, lit[0])
	}
	return bytes.Index(b, lit)
}

// nearPlaces is how many places are looked at one by one from the end, for where
// a string is frequent its last place is near; lastChunk is how many are then
// looked at together.
const (
	nearPlaces = 8
	lastChunk  = 128
)

// lastIndex gives the last place of lit in b that is not before least, or -1.
func lastIndex(b []byte, least int, lit []byte) int {
	end := len(b) - len(lit) + 1
	for near := max(end-nearPlaces, least); end > near; {
		end--
		if b[end] == lit[0] && string(b[end:end+len(lit)]) == string(lit) {
			return end
		}
	}
	for end > least {
		from := max(end-lastChunk, least)
		chunk := b[from : end-1+len(lit)]
		if i := indexString(chunk, lit); i >= 0 {
			return from + lastFrom(chunk, i, lit)
		}
		end = from
	}
	return -1
}

// fewPlaces is how many places of a string are looked up from the front, many
// bytes at a time, before it is searched for from the back byte by byte.
const fewPlaces = 4

// lastFrom gives the last place of lit in b, whose first is at.
func lastFrom(b []byte, at int, lit []byte) int {
	for range fewPlaces {
		next := indexString(b[at+1:], lit)
		if next < 0 {
			return at
		}
		at += 1 + next
	}
	return bytes.LastIndex(b, lit)
}
