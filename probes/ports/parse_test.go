package ports

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	tests := []struct{ in, tcp, udp string }{
		{"22", "22", "22"},
		{" 22 , 80 - 90 ", "22,80-90", "22,80-90"},
		{"T:22,80,U:53", "22,80", "53"},
		{"443,U:53,t:22", "22,443", "53,443"},
		{"0", "0", "0"},
		{"-3", "1-3", "1-3"},
		{"65533-", "65533-65535", "65533-65535"},
		{"-", "1-65535", "1-65535"},
		{"ssh", "22", ""},
		{"SSH", "22", ""},
		{"domain", "53", "53"},
		{"U:ntp,T:https", "443", "123"},
		{"T:vnc-?", "5901-5904", ""},
		{"T:rdp,postgres", "3389,5432", ""},
		{"T:top:3", "22,80,443", ""},
		{"U: top:2", "", "53,161"},
	}
	for _, tt := range tests {
		got, err := Parse(tt.in)
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.in, err)
		}
		if got.TCP.String() != tt.tcp || got.UDP.String() != tt.udp {
			t.Errorf("Parse(%q) = T %q U %q, want T %q U %q", tt.in, got.TCP, got.UDP, tt.tcp, tt.udp)
		}
	}
}

func TestParseErrorsHaveOffsets(t *testing.T) {
	tests := []struct {
		in   string
		want []int // offsets
		keep string
	}{
		{"", []int{0}, ""},
		{"   ", []int{0}, ""},
		{"22,,80", []int{3}, "22,80"},
		{"22,", []int{3}, "22"},
		{"65536", []int{0}, ""},
		{"22,70000,99999,80", []int{3, 9}, "22,80"},
		{"90-80", []int{0}, ""},
		{"1-2-3", []int{2}, ""},
		{"1-x", []int{2}, ""},
		{"22, no-such-name", []int{4}, "22"},
		{"S:22,T:80", []int{0}, "80"},
		{"T:", []int{2}, ""},
		{"top:0", []int{0}, ""},
		{"top:x", []int{0}, ""},
		{"top:+3", []int{0}, ""},
		{"[1-100]", []int{0}, ""},
		{"22 80", []int{0}, ""},
		{"-x,y-", []int{1, 3}, ""},
		{"1-99999999999999999999", []int{2}, ""},
	}
	for _, tt := range tests {
		got, err := Parse(tt.in)
		var list ParseErrors
		if !errors.As(err, &list) {
			t.Errorf("Parse(%q): error %v, want ParseErrors", tt.in, err)
			continue
		}
		var offsets []int
		for _, e := range list {
			offsets = append(offsets, e.Offset)
			if e.Reason == "" || e.Remedy == "" {
				t.Errorf("Parse(%q): error without reason or remedy: %+v", tt.in, e)
			}
		}
		if diff := cmp.Diff(tt.want, offsets); diff != "" {
			t.Errorf("Parse(%q) offsets (-want +got):\n%s%v", tt.in, diff, err)
		}
		if got.TCP.String() != tt.keep {
			t.Errorf("Parse(%q) keeps %q, want %q", tt.in, got.TCP, tt.keep)
		}
		var first *ParseError
		if !errors.As(err, &first) || first != list[0] {
			t.Errorf("Parse(%q): errors.As does not find the first error", tt.in)
		}
	}
}

func TestTopBeyondTheRanking(t *testing.T) {
	if _, err := Parse("top:100000"); err == nil || !strings.Contains(err.Error(), "top:") {
		t.Errorf("top:100000: %v", err)
	}
	l, err := Parse("top:500")
	if err != nil {
		t.Errorf("top:500 for both transports: %v", err)
	}
	if l.TCP.Len() != 500 || l.UDP.Len() != TopSize(UDP) {
		t.Errorf("top:500 gives %d TCP and %d UDP ports", l.TCP.Len(), l.UDP.Len())
	}
	if _, err := Parse("U:top:500"); err == nil {
		t.Error("U:top:500 is accepted")
	}
}

func TestParseSet(t *testing.T) {
	got, err := ParseSet(UDP, "snmp,top:1")
	if err != nil || got.String() != "53,161" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := ParseSet(TCP, "T:22"); err == nil {
		t.Error("a prefix is accepted in a list for one transport")
	}
}

func TestParseNumbers(t *testing.T) {
	got, err := ParseNumbers("80-85, 22 ,0")
	if err != nil || got.String() != "0,22,80-85" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "ssh", "T:22", "-5", "5-", "top:3", "-"} {
		if _, err := ParseNumbers(bad); err == nil {
			t.Errorf("ParseNumbers(%q) is accepted", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"22,80-90,top:100", "T:1-5,U:-7,60000-", "-", "http*,ssh", "0,65535", "1,,2", "S:3", "[1]",
		"1-100,U:50", "T:1,3,5,U:2,4,6", "?", "*", "*************************a",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := Parse(s)
		if l.IsEmpty() {
			if err == nil {
				t.Fatalf("%q: neither ports nor an error", s)
			}
			return
		}
		back, err := Parse(l.String())
		if err != nil {
			t.Fatalf("%q prints as %q: %v", s, l, err)
		}
		if !back.TCP.Equal(l.TCP) || !back.UDP.Equal(l.UDP) {
			t.Fatalf("%q prints as %q, which reads as %q", s, l, back)
		}
	})
}
