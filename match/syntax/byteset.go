package syntax

import "math/bits"

// A ByteSet is a set of byte values. It is comparable, so that equal sets can
// be shared.
type ByteSet [4]uint64

// Contains reports whether c is in the set.
func (s *ByteSet) Contains(c byte) bool { return s[c>>6]>>(c&63)&1 != 0 }

// Add puts one byte into the set.
func (s *ByteSet) Add(c byte) { s[c>>6] |= 1 << (c & 63) }

// AddRange puts lo to hi, both included, into the set.
func (s *ByteSet) AddRange(lo, hi byte) {
	for c := int(lo); c <= int(hi); c++ {
		s.Add(byte(c))
	}
}

// AddSet puts all of t into the set.
func (s *ByteSet) AddSet(t ByteSet) {
	for i := range s {
		s[i] |= t[i]
	}
}

// Not gives the complement.
func (s ByteSet) Not() ByteSet {
	for i := range s {
		s[i] = ^s[i]
	}
	return s
}

// Folded gives the set with each ASCII letter in both cases.
func (s ByteSet) Folded() ByteSet {
	// Letters are bits 1 to 26 of the word that starts at 64, and the other
	// case lies 32 bits higher.
	const letters = (1<<26 - 1) << 1
	w := s[1]
	s[1] |= w & letters << 32
	s[1] |= w >> 32 & letters
	return s
}

// Disjoint reports whether the sets share no byte.
func (s *ByteSet) Disjoint(t *ByteSet) bool {
	return s[0]&t[0]|s[1]&t[1]|s[2]&t[2]|s[3]&t[3] == 0
}

// Len is the number of bytes in the set.
func (s *ByteSet) Len() int {
	return bits.OnesCount64(s[0]) + bits.OnesCount64(s[1]) +
		bits.OnesCount64(s[2]) + bits.OnesCount64(s[3])
}

// First is the smallest byte of a set that is not empty.
func (s *ByteSet) First() byte {
	for i, w := range s {
		if w != 0 {
			return byte(i*64 + bits.TrailingZeros64(w))
		}
	}
	return 0
}

func setOf(bytes string) (s ByteSet) {
	for i := range len(bytes) {
		s.Add(bytes[i])
	}
	return s
}

func setRange(lo, hi byte) (s ByteSet) {
	s.AddRange(lo, hi)
	return s
}

func union(sets ...ByteSet) (s ByteSet) {
	for _, t := range sets {
		s.AddSet(t)
	}
	return s
}

// The sets behind the escapes, as PCRE2 has them in the C locale.
var (
	digitSet      = setRange('0', '9')
	lowerSet      = setRange('a', 'z')
	upperSet      = setRange('A', 'Z')
	wordSet       = union(digitSet, lowerSet, upperSet, setOf("_"))
	spaceSet      = setOf("\t\n\v\f\r ")  // unlike Go's \s, with VT
	horizontalSet = setOf("\t \xa0")      // \h
	verticalSet   = setOf("\n\v\f\r\x85") // \v, a class in PCRE2
	newlineSet    = setOf("\n")           // what '.' excludes without s
	anySet        = ByteSet{}.Not()       // '.' with s
	printSet      = setRange(' ', '~')    // [:print:]
	graphSet      = setRange('!', '~')    // [:graph:]
	controlSet    = union(setRange(0, 0x1f), setOf("\x7f"))
)

// IsWord reports whether \w matches c.
func IsWord(c byte) bool { return wordSet.Contains(c) }
