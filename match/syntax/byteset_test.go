package syntax

import "testing"

func TestByteSetFolded(t *testing.T) {
	for c := range 256 {
		var s ByteSet
		s.Add(byte(c))
		folded := s.Folded()
		for d := range 256 {
			same := c == d
			if 'a' <= c|0x20 && c|0x20 <= 'z' && c < 128 {
				same = d == c || d == c^0x20
			}
			if folded.Contains(byte(d)) != same {
				t.Errorf("Folded({%#x}) holds %#x: %v, want %v", c, d, !same, same)
			}
		}
	}
}

func TestPosixSets(t *testing.T) {
	for name, want := range map[string]int{
		"alnum": 62, "alpha": 52, "ascii": 128, "blank": 2, "cntrl": 33, "digit": 10, "graph": 94,
		"lower": 26, "print": 95, "punct": 32, "space": 6, "upper": 26, "word": 63, "xdigit": 22,
	} {
		if s := posixSets[name]; s.Len() != want {
			t.Errorf("[:%s:] has %d bytes, want %d", name, s.Len(), want)
		}
	}
}
