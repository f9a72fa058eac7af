package index

import (
	"math/bits"
	"slices"
)

// A lineSet is a set of lines that gives the first of them. Few of thousands of
// lines are ever in it, so a second level of bits tells which words are not
// zero: none of the others is read or cleared.
type lineSet struct {
	words []uint64
	used  []uint64 // bit i is set if words[i] is not zero
}

// reset empties the set and makes room for lines below n.
func (s *lineSet) reset(n int) {
	for i, word := range s.used {
		for ; word != 0; word &= word - 1 {
			s.words[i<<6|bits.TrailingZeros64(word)] = 0
		}
		s.used[i] = 0
	}
	if n > 64*len(s.words) {
		s.words = make([]uint64, (n+63)/64)
		s.used = make([]uint64, (len(s.words)+63)/64)
	}
}

func (s *lineSet) add(line int32) {
	i := line >> 6
	s.words[i] |= 1 << (line & 63)
	s.used[i>>6] |= 1 << (i & 63)
}

// next gives the first line at or behind line, or -1.
func (s *lineSet) next(line int) int {
	i := line >> 6
	if i >= len(s.words) {
		return -1
	}
	if word := s.words[i] >> (line & 63); word != 0 {
		return line + bits.TrailingZeros64(word)
	}
	i++
	for j := i >> 6; j < len(s.used); j++ {
		word := s.used[j]
		if j == i>>6 {
			word &= ^uint64(0) << (i & 63)
		}
		if word != 0 {
			k := j<<6 | bits.TrailingZeros64(word)
			return k<<6 | bits.TrailingZeros64(s.words[k])
		}
	}
	return -1
}

// take removes and gives the first line, if it is below limit, else -1.
func (s *lineSet) take(limit int) int {
	for j, used := range s.used {
		if used == 0 {
			continue
		}
		i := j<<6 | bits.TrailingZeros64(used)
		word := s.words[i]
		line := i<<6 | bits.TrailingZeros64(word)
		if line >= limit {
			return -1
		}
		word &= word - 1
		s.words[i] = word
		if word == 0 {
			s.used[j] = used & (used - 1)
		}
		return line
	}
	return -1
}

// foundWindows are the windows of a filter that stand in a subject.
type foundWindows struct {
	windows []uint32
	seen    []uint64 // one bit for each of them
}

func (f *foundWindows) reset() {
	for _, w := range f.windows {
		f.seen[w>>6] = 0
	}
	f.windows = f.windows[:0]
}

// grow makes room for windows below n. Those that were found stay.
func (f *foundWindows) grow(n int) {
	if n = (n + 63) / 64; n > len(f.seen) {
		f.seen = append(f.seen, make([]uint64, n-len(f.seen))...)
		f.windows = slices.Grow(f.windows, 64)
	}
}

func (f *foundWindows) add(w int) {
	word, bit := &f.seen[w>>6], uint64(1)<<(w&63)
	if *word&bit == 0 {
		*word |= bit
		f.windows = append(f.windows, uint32(w))
	}
}
