package match

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// expandOne compiles one rule and gives what it says about an answer.
func expandOne(t *testing.T, pattern string, fields Fields, answer string) Identity {
	t.Helper()
	list, err := CompileList([]Rule{{Service: "x", Pattern: pattern, DotAll: true, Fields: fields}})
	if err != nil {
		t.Fatal(err)
	}
	var sc Scratch
	res := NewSet(list).Match(&sc, []byte(answer))
	if res.Rule == nil {
		t.Fatalf("%q does not match %q", pattern, answer)
	}
	return res.Identity
}

func TestTemplates(t *testing.T) {
	for _, tt := range []struct {
		name, template, pattern, answer, want string
	}{
		{"text", "Some Thing", `a`, "a", "Some Thing"},
		{"group", "v$1", `a(.)`, "a7", "v7"},
		{"one digit only", "$10", `a(.)`, "a7", "70"},
		{"two groups", "$2.$1", `(.)(.)`, "ab", "b.a"},
		{"empty group", "x$1y", `a(b*)`, "a", "xy"},
		{"unset group empties", "x$2y", `a(b)|(c)`, "ab", ""},
		{"missing group empties", "x$3y", `a(b)`, "ab", ""},
		{"cut at NUL", "$1!", `^(.+)$`, "ab\x00cd", "ab!"},
		{"starts with NUL", "$1", `^(.+)$`, "\x00cd", ""},
		{"trailing blanks and commas", "$1, ,", `(.+)$`, "ab \t", "ab"},
		{"leading blanks stay", "$1", `a(.*)$`, "a b", " b"},
		{"unprintable", "$1", `(.+)$`, "a\x01\xff\x7fb", "a...b"},
		{"line feed inside", "$1", `(.*)b`, "a\n ab", "a. a"},
		{"P", "$P(1)", `(.+)$`, "a\x00b\x00\xff c", "ab c"},
		{"SUBST", `$SUBST(1,"_",".")`, `(.+)$`, "1_2_3", "1.2.3"},
		{"SUBST longer", `$SUBST(1,"ab","")`, `(.+)$`, "aabbab", "ab"},
		{"SUBST of escapes", `$SUBST(1,"\x41\n\\","\t-")`, `(.+)$`, "1A\n\\2", "1.-2"},
		{"SUBST of NUL", `$SUBST(1,"\0",".")`, `(.+)$`, "1\x002", "1.2"},
		{"SUBST cuts at NUL", `$SUBST(1,"a","b")!`, `(.+)$`, "1a\x00a", "1b!"},
		{"SUBST with blanks", `$SUBST(1, "_", ".")`, `(.+)$`, "1_2", "1.2"},
		{"I big", `$I(1,">")`, `(.+)$`, "\x01\x02", "258"},
		{"I little", `$I(1,"<")`, `(.+)$`, "\x01\x02", "513"},
		{"I of eight", `$I(1,">")`, `(.+)$`, "\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"},
		{"I of nine", `x$I(1,">")`, `(.+)$`, "123456789", ""},
		{"I of none", `$I(1,">")`, `a(.*)$`, "a", "0"},
		{"longest", "$1", `(.+)$`, strings.Repeat("v", 79), strings.Repeat("v", 79)},
		{"too long", "$1", `(.+)$`, strings.Repeat("v", 80), ""},
		{"long before trimming", "$1", `(.+)$`, "v" + strings.Repeat(" ", 100), "v"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := expandOne(t, tt.pattern, Fields{Version: tt.template}, tt.answer)
			if d := cmp.Diff(Identity{Service: "x", Version: tt.want}, got); d != "" {
				t.Errorf("%q of %q (-want +got):\n%s", tt.template, tt.answer, d)
			}
		})
	}
}

func TestFieldLimits(t *testing.T) {
	long := strings.Repeat("x", 256)
	for _, n := range []int{31, 32, 79, 80, 255, 256} {
		s := long[:n]
		got := expandOne(t, `a`, Fields{Product: s, Version: s, Info: s, Hostname: s, OS: s, Device: s}, "a")
		upTo := func(max int) string {
			if n > max {
				return ""
			}
			return s
		}
		want := Identity{Service: "x", Product: upTo(79), Version: upTo(79), Info: upTo(255),
			Hostname: upTo(79), OS: upTo(31), Device: upTo(31)}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("fields of %d bytes (-want +got):\n%s", n, d)
		}
	}
}

func TestCPE(t *testing.T) {
	for _, tt := range []struct {
		name      string
		templates []string
		answer    string
		want      []string
	}{
		{"text stays", []string{"a:Vendor:pro duct"}, "x", []string{"cpe:/a:Vendor:pro duct"}},
		{"group in lower case", []string{"a:v:p:$1"}, "1.2RC1", []string{"cpe:/a:v:p:1.2rc1"}},
		{"reserved", []string{"a:v:p:$1"}, `a:b/c?"`, []string{"cpe:/a:v:p:a%3Ab%2Fc%3F%22"}},
		{"all reserved", []string{"a:v:$1"}, `:/?#[]@!$&'()*+,;=%<>"`, []string{
			"cpe:/a:v:%3A%2F%3F%23%5B%5D%40%21%24%26%27%28%29%2A%2B%2C%3B%3D%25%3C%3E%22"}},
		{"white space", []string{"o:v:$1"}, "a b\tc", []string{"cpe:/o:v:a_b_c"}},
		{"two substitutions", []string{"a:$1:$1"}, "A+", []string{"cpe:/a:a%2B:a%2B"}},
		{"SUBST", []string{`a:v:$SUBST(1,"-",":")`}, "A-b", []string{"cpe:/a:v:a%3Ab"}},
		{"all of one part", []string{"a:v:1", "a:v:2", "o:v:3"}, "x", []string{"cpe:/a:v:1", "cpe:/a:v:2", "cpe:/o:v:3"}},
		{"a failed one only itself", []string{"a:v:$2", "a:v:p"}, "x", []string{"cpe:/a:v:p"}},
		{"too long", []string{"a:v:$1"}, strings.Repeat("1", 80), nil},
		{"unprintable", []string{"a:v:$1"}, "\xff1", []string{"cpe:/a:v:.1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var fields Fields
			for _, text := range tt.templates {
				fields.CPE = append(fields.CPE, CPETemplate{Text: text, Flags: "a"})
			}
			got := expandOne(t, `^(.+)$`, fields, tt.answer)
			if d := cmp.Diff(tt.want, got.CPE); d != "" {
				t.Errorf("of %q (-want +got):\n%s", tt.answer, d)
			}
		})
	}
}

func TestTemplateErrors(t *testing.T) {
	for _, text := range []string{
		`$`, `a$`, `$0`, `$x`, `$P`, `$P(`, `$P()`, `$P(0)`, `$P(10)`, `$P(1`, `$P(1,"a")`, `$p(1)`, `$Q(1)`,
		`$SUBST(1)`, `$SUBST(1,"a")`, `$SUBST(1,"","b")`, `$SUBST(1,"a","b"`, `$SUBST(1,a,b)`,
		`$SUBST(1,"\q","b")`, `$SUBST(1,"\x4","b")`, `$SUBST(1,"a\`, `$SUBST(1,"` + strings.Repeat("a", 128) + `","")`,
		`$I(1)`, `$I(1,"=")`, `$I(1,">","<")`,
	} {
		rule := Rule{Pos: Position{File: "f", Line: 3}, Service: "x", Pattern: "a", Fields: Fields{Info: text}}
		_, err := CompileList([]Rule{rule})
		var re *RuleError
		if !errors.Is(err, ErrTemplate) || !errors.As(err, &re) || re.Pos != rule.Pos {
			t.Errorf("template %q: %v, want ErrTemplate at f:3", text, err)
		}
	}
}

// FuzzTemplate demands that whatever template meets whatever answer gives
// printable text within its limit.
func FuzzTemplate(f *testing.F) {
	for _, text := range []string{
		"$1", "v$2 ($1)", `$SUBST(1,"_",".")`, "$P(2)", `$I(1,"<")`, `$SUBST(2,"\x00","\xff")x$1`, "$", "plain",
	} {
		f.Add(text, []byte("ab_c 1.2\x00\xff"))
	}
	f.Fuzz(func(t *testing.T, text string, answer []byte) {
		fields := Fields{Product: text, CPE: []CPETemplate{{Text: text}}}
		list, err := CompileList([]Rule{{Pattern: `^(\w*)(.+)(q)?`, DotAll: true, Fields: fields}})
		if errors.Is(err, ErrTemplate) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		var sc Scratch
		id := NewSet(list).Match(&sc, answer).Identity
		for _, v := range append(id.CPE, id.Product) {
			if len(v) > maxProduct || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("template %q on %q gives %q", text, answer, v)
			}
		}
	})
}
