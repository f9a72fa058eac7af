package grammar

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sonde/match"
	"sonde/probes/ports"
)

// The comparison of this package's tests: positions do not count.
var withoutPositions = cmp.Options{
	cmpopts.IgnoreTypes(match.Position{}),
	cmpopts.IgnoreFields(match.Rule{}, "PatternCol"),
	cmpopts.EquateEmpty(),
}

func TestParseWholeGrammar(t *testing.T) {
	const text = `# a comment
Exclude T:9100-9107,U:69

##########
Probe TCP NULL q||
totalwaitms 6000
tcpwrappedms 3000
# id: ssh.openssh
# why it is so
match ssh m|^SSH-([\d.]+)-OpenSSH_([\w.]+)\r?\n|i p/OpenSSH/ v/$2/ i|protocol $1| cpe:/a:openbsd:openssh:$2/a
# outcome: blocked
softmatch ftp m=^220=si
match old m%^x% p/first/ p/last/ cpe:|h:a:315-2pn/dp| cpe:/o:b:c/ h/$1/ o/Linux/ d/NAS/

# needs: credentials, held
# completes: snmp, other
# wait: null
Probe UDP Ask q=\0\x01A|\\\n\r\t= no-payload source=500
ports 161, 200-300
ports 5
sslports 443
rarity 9
fallback NULL, Other Third
Probe TCP 3x q~\x7E~
`
	got, err := Parse("x.probes", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := &File{
		Name:    "x.probes",
		Exclude: ports.List{TCP: ports.OfRanges(ports.Range{First: 9100, Last: 9107}), UDP: ports.Of(69)},
		Probes: []*Probe{
			{
				Protocol: TCP, Name: "NULL", TotalWait: 6 * time.Second, TCPWrapped: 3 * time.Second,
				Rules: []match.Rule{
					{
						ID: "ssh.openssh", Service: "ssh", IgnoreCase: true,
						Pattern: `^SSH-([\d.]+)-OpenSSH_([\w.]+)\r?\n`,
						Fields: match.Fields{
							Product: "OpenSSH", Version: "$2", Info: "protocol $1",
							CPE: []match.CPETemplate{{Text: "a:openbsd:openssh:$2", Flags: "a"}},
						},
					},
					{Service: "ftp", Soft: true, Blocked: true, Pattern: "^220", IgnoreCase: true, DotAll: true},
					{
						Service: "old", Pattern: "^x",
						Fields: match.Fields{
							Product: "last", Hostname: "$1", OS: "Linux", Device: "NAS",
							CPE: []match.CPETemplate{{Text: "h:a:315-2pn/dp"}, {Text: "o:b:c"}},
						},
					},
				},
			},
			{
				Protocol: UDP, Name: "Ask", Payload: []byte("\x00\x01A|\\\n\r\t"),
				NoPayload: true, SourcePort: 500, Rarity: 9,
				Needs: NeedCredentials | NeedHeld, WaitNull: true,
				Completes: []string{"snmp", "other"},
				Ports:     ports.OfRanges(ports.Range{First: 161, Last: 161}, ports.Range{First: 200, Last: 300}, ports.Range{First: 5, Last: 5}),
				TLSPorts:  ports.Of(443),
				Fallbacks: []Fallback{{Name: "NULL"}, {Name: "Other"}, {Name: "Third"}},
			},
			{Protocol: TCP, Name: "3x", Payload: []byte("~")},
		},
	}
	if diff := cmp.Diff(want, got, withoutPositions); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	rule := got.Probes[0].Rules[0]
	if got, want := rule.Pos.String(), "x.probes:10"; got != want {
		t.Errorf("position of the first rule %s, want %s", got, want)
	}
	if rule.PatternCol != 13 {
		t.Errorf("column of the first pattern %d, want 13", rule.PatternCol)
	}
	if got, want := got.Probes[1].Fallbacks[1].Pos.String(), "x.probes:23:16"; got != want {
		t.Errorf("position of the second fallback %s, want %s", got, want)
	}
}

// TestMistakes has one mistake a row. The probes and rules that are left show
// that one mistake costs one line only.
func TestMistakes(t *testing.T) {
	long := strings.Repeat("a", MaxLine)
	tests := []struct {
		name          string
		text          string
		at            string // line:column
		reason        string // part of it
		probes, rules int
	}{
		{"unknown directive", "Probe TCP A q|a|\nmatches x m|x|\n", "2:1", "unknown directive", 1, 0},
		{"tab after directive", "Probe TCP A q|a|\nmatch\tx m|x|\n", "2:1", "unknown directive", 1, 0},
		{"leading blank", "Probe TCP A q|a|\n match x m|x|\n", "2:1", "begins with a blank", 1, 0},
		{"only a CR", "Probe TCP A q|a|\n\r\n", "2:1", "carriage return", 1, 0},
		{"CR at the end", "Probe TCP A q|a|\nmatch x m|x|\r\n", "2:13", "carriage return", 1, 1},
		{"NUL", "Probe TCP A q|a|\nmatch x m|\x00|\n", "2:11", "NUL", 1, 0},
		{"long line", "Probe TCP A q|a|\nmatch x m|" + long + "|\nmatch x m|x|", "2:8192", "at most 8191", 1, 1},
		{"long comment", "#" + long, "1:8192", "at most 8191", 0, 0},
		{"long Probe", "Probe TCP A q|" + long + "|\nmatch x m|x|\n", "1:8192", "at most 8191", 0, 0},
		{"bare word", "Probe TCP A q|a|\nmatch\n", "2:6", "nothing follows", 1, 0},
		{"match before Probe", "match x m|x|\n", "1:1", "before the first Probe", 0, 0},
		{"ports before Probe", "ports 5\n", "1:1", "before the first Probe", 0, 0},
		{"misspelt Probe", "Probe TCP A q|a|\nprobe TCP B q|b|\nmatch x m|x|\n", "2:1", "unknown directive", 1, 0},

		{"no protocol", "Probe \n", "1:7", "unknown protocol", 0, 0},
		{"lower-case protocol", "Probe tcp A q|a|\n", "1:7", "unknown protocol", 0, 0},
		{"no name", "Probe TCP\n", "1:10", "name is missing", 0, 0},
		{"bad name", "Probe TCP -a q|a|\n", "1:11", "begins with a letter", 0, 0},
		{"name with a control byte", "Probe TCP a\x01 q|a|\n", "1:11", "visible ASCII", 0, 0},
		{"no string", "Probe TCP A\n", "1:12", "q|…|", 0, 0},
		{"other letter", "Probe TCP A m|a|\n", "1:13", "q|…|", 0, 0},
		{"no delimiter", "Probe TCP A q\n", "1:14", "delimiter is missing", 0, 0},
		{"blank delimiter", "Probe TCP A q a \n", "1:14", "cannot be a delimiter", 0, 0},
		{"no closing delimiter", "Probe TCP A q|a\n", "1:14", "closing delimiter", 0, 0},
		{"escape of the book only", `Probe TCP A q|b\a|`, "1:16", "unknown escape", 0, 0},
		{"no octal", `Probe TCP A q|\1|`, "1:15", "unknown escape", 0, 0},
		{"short hex", `Probe TCP A q|\x0|`, "1:15", "two hexadecimal", 0, 0},
		{"not hex", `Probe TCP A q|\x0g|`, "1:15", "two hexadecimal", 0, 0},
		{"lone backslash", `Probe TCP A q|a\|`, "1:16", "backslash", 0, 0},
		{"empty UDP", "Probe UDP A q||\n", "1:15", "empty probe string", 0, 0},
		{"no blank before flag", "Probe TCP A q|a|no-payload\n", "1:17", "want a blank", 1, 0},
		{"unknown flag", "Probe TCP A q|a| payload\n", "1:18", "unknown probe flag", 1, 0},
		{"source port", "Probe TCP A q|a| source=65536\n", "1:18", "source port", 1, 0},

		{"ports name", "Probe TCP A q|a|\nports 1,ssh\n", "2:9", "not a port number", 1, 0},
		{"ports prefix", "Probe TCP A q|a|\nports T:1\n", "2:7", "prefix is not allowed", 1, 0},
		{"sslports range", "Probe TCP A q|a|\nsslports 9-1\n", "2:10", "backwards", 1, 0},
		{"ports empty", "Probe TCP A q|a|\nports \n", "2:7", "empty", 1, 0},
		{"rarity 0", "Probe TCP A q|a|\nrarity 0\n", "2:8", "from 1 to 9", 1, 0},
		{"rarity +5", "Probe TCP A q|a|\nrarity +5\n", "2:8", "from 1 to 9", 1, 0},
		{"totalwaitms", "Probe TCP A q|a|\ntotalwaitms 300001\n", "2:13", "from 100 to 300000", 1, 0},
		{"tcpwrappedms", "Probe TCP A q|a|\ntcpwrappedms ten\n", "2:14", "from 100 to 300000", 1, 0},
		{"18th fallback", "Probe TCP A q|a|\nfallback 1,2,3,4,5,6,7,8,9,a,b,c,d,e,f,g,h,i,j\n", "2:44", "at most 17", 1, 0},
		{"no fallback", "Probe TCP A q|a|\nfallback , ,\n", "2:10", "missing", 1, 0},
		{"Exclude twice", "Exclude 1\nExclude 2\n", "2:1", "second Exclude", 0, 0},
		{"Exclude late", "Probe TCP A q|a|\nExclude 2\n", "2:1", "after the first Probe", 1, 0},
		{"Exclude bad", "Exclude 1,2,x!\n", "1:13", "unknown port name", 0, 0},

		{"no service", "Probe TCP A q|a|\nmatch  \n", "2:8", "service name", 1, 0},
		{"no pattern", "Probe TCP A q|a|\nmatch x\n", "2:8", "want the pattern", 1, 0},
		{"empty pattern", "Probe TCP A q|a|\nmatch x m||\n", "2:11", "pattern is empty", 1, 0},
		{"open pattern", "Probe TCP A q|a|\nmatch x m|x\n", "2:10", "closing delimiter", 1, 0},
		{"pattern flag", "Probe TCP A q|a|\nmatch x m|x|ig\n", "2:14", "unknown pattern flag", 1, 0},
		{"glued field", "Probe TCP A q|a|\nmatch x m|x|/p/\n", "2:13", "want a blank", 1, 0},
		{"unknown field", "Probe TCP A q|a|\nmatch x m|x| x/1/\n", "2:14", "unknown field", 1, 0},
		{"open field", "Probe TCP A q|a|\nmatch x m|x| p/1\n", "2:15", "closing delimiter", 1, 0},
		{"field with nothing", "Probe TCP A q|a|\nmatch x m|x| p\n", "2:15", "delimiter is missing", 1, 0},
		{"glued fields", "Probe TCP A q|a|\nmatch x m|x| p/1/v/2/\n", "2:19", "want a blank", 1, 0},
		{"open cpe", "Probe TCP A q|a|\nmatch x m|x| cpe:/a:b\n", "2:18", "closing delimiter", 1, 0},
		{"glued cpe", "Probe TCP A q|a|\nmatch x m|x| cpe:/a:b/a/\n", "2:24", "want a blank", 1, 0},

		{"bad id", "Probe TCP A q|a|\n# id: A\nmatch x m|x|\n", "2:7", "bad id", 1, 1},
		{"two ids", "Probe TCP A q|a|\n# id: a\n# id: b\nmatch x m|x|\n", "3:7", "second id", 1, 1},
		{"id before a blank line", "Probe TCP A q|a|\n# id: a\n\nmatch x m|x|\n", "2:7", "no match", 1, 1},
		{"id before Probe", "# id: a\nProbe TCP A q|a|\n", "1:7", "no match", 1, 0},
		{"id at the end", "# id: a", "1:7", "no match", 0, 0},
		{"unknown outcome", "Probe TCP A q|a|\n# outcome: held\nmatch x m|x|\n", "2:12", "unknown outcome", 1, 1},
		{"no outcome", "Probe TCP A q|a|\n# outcome:\nmatch x m|x|\n", "2:11", "unknown outcome", 1, 1},
		{"two outcomes", "Probe TCP A q|a|\n# outcome: blocked\n# outcome: blocked\nmatch x m|x|\n", "3:12", "second outcome", 1, 1},
		{"outcome before Probe", "# outcome: blocked\nProbe TCP A q|a|\n", "1:12", "no match", 1, 0},
		{"outcome before a setting", "Probe TCP A q|a|\n# outcome: blocked\nrarity 3\nmatch x m|x|\n", "2:12", "no match", 1, 1},
		{"needs before match", "Probe TCP A q|a|\n# needs: held\nmatch x m|x|\n", "2:10", "no Probe", 1, 1},
		{"unknown need", "# needs: held money\nProbe TCP A q|a|\n", "1:10", "unknown need", 1, 0},
		{"completes before match", "Probe TCP A q|a|\n# completes: x\nmatch x m|x|\n", "2:14", "no Probe", 1, 1},
		{"completes nothing", "# completes:\nProbe TCP A q|a|\n", "1:13", "completes nothing", 1, 0},
		{"no need", "# needs:\nProbe TCP A q|a|\n", "1:9", "needs nothing", 1, 0},
		{"unknown wait", "# wait: long\nProbe TCP A q|a|\n", "1:9", "unknown wait", 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := Parse("f", []byte(tt.text))
			var list Errors
			if !errors.As(err, &list) || len(list) != 1 {
				t.Fatalf("want one error, got:\n%v", err)
			}
			if got := list[0].Pos.String(); got != "f:"+tt.at {
				t.Errorf("position %s, want f:%s (%v)", got, tt.at, list[0])
			}
			if !strings.Contains(list[0].Reason, tt.reason) {
				t.Errorf("reason %q has no %q", list[0].Reason, tt.reason)
			}
			rules := 0
			for _, p := range f.Probes {
				rules += len(p.Rules)
			}
			if len(f.Probes) != tt.probes || rules != tt.rules {
				t.Errorf("kept %d probes and %d rules, want %d and %d",
					len(f.Probes), rules, tt.probes, tt.rules)
			}
		})
	}
}

// TestManyMistakesAtOnce: one pass tells them all.
func TestManyMistakesAtOnce(t *testing.T) {
	const name = "testdata/twenty.probes"
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Parse(name, data)
	want := []string{
		"1:1", "2:15", "3:1", "6:6", "7:11", "8:12", "9:18", "10:30", "11:29", "12:8", "13:7",
		"14:11", "15:15", "16:11", "17:15", "18:18", "18:26", "19:9", "19:15", "20:13", "21:44",
		"22:1", "23:1", "24:7", "25:10",
	}
	var list Errors
	if !errors.As(err, &list) {
		t.Fatalf("error %v", err)
	}
	var got []string
	for _, e := range list {
		got = append(got, strings.TrimPrefix(e.Pos.String(), name+":"))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s\n%v", diff, err)
	}
	if n := len(strings.Split(err.Error(), "\n")); n != len(want) {
		t.Errorf("%d lines for %d errors", n, len(want))
	}
	var one *Error
	if !errors.As(err, &one) || one != list[0] {
		t.Error("errors.As does not find the first error")
	}
}

// TestPlainCommentsMeanNothing: only three forms of comment carry meaning.
func TestPlainCommentsMeanNothing(t *testing.T) {
	const plain = "Probe TCP A q|a|\nmatch x m|x|\n"
	const commented = "# foo: bar\n#needs: x\nProbe TCP A q|a|\n#id: A!\n# ID: x\nmatch x m|x|\n"
	a, err := Parse("f", []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Parse("f", []byte(commented))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, b, withoutPositions); diff != "" {
		t.Error(diff)
	}
}
