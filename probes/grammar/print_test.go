package grammar

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/match"
	"sonde/probes/ports"
)

// roundTrip prints f and reads it back.
func roundTrip(t *testing.T, f *File) {
	t.Helper()
	text, err := f.AppendText(nil)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Parse(f.Name, text)
	if err != nil {
		t.Fatalf("what was printed does not parse: %v\n%q", err, text)
	}
	if diff := cmp.Diff(f, back, withoutPositions); diff != "" {
		t.Fatalf("printed and parsed (-want +got):\n%s\n%q", diff, text)
	}
	again, err := back.AppendText(nil)
	if err != nil || !bytes.Equal(text, again) {
		t.Fatalf("printed twice gives two texts (%v):\n%q\n%q", err, text, again)
	}
}

// randomText gives up to n bytes that may stand in a template or pattern.
func randomText(r *rand.Rand, n int) string {
	b := make([]byte, 1+r.IntN(n))
	for i := range b {
		b[i] = byte(1 + r.IntN(255))
		if r.IntN(3) > 0 {
			b[i] = "|/=%@#!~;, az$1\\"[r.IntN(16)]
		}
		if b[i] == '\n' {
			b[i] = '\r'
		}
	}
	return string(b)
}

func randomWord(r *rand.Rand) string {
	b := make([]byte, 1+r.IntN(8))
	for i := range b {
		b[i] = "abcXYZ019/-."[r.IntN(12)]
	}
	return "w" + string(b)
}

func randomRule(r *rand.Rand) match.Rule {
	rule := match.Rule{
		Soft: r.IntN(2) == 0, Blocked: r.IntN(2) == 0, Service: randomWord(r), Pattern: randomText(r, 60),
		IgnoreCase: r.IntN(2) == 0, DotAll: r.IntN(2) == 0,
	}
	if r.IntN(2) == 0 {
		rule.ID = strings.ToLower("r." + strings.ReplaceAll(randomWord(r), "/", "_"))
	}
	for _, letter := range []byte("pvihod") {
		if r.IntN(3) == 0 {
			*fieldOf(&rule.Fields, letter) = randomText(r, 20)
		}
	}
	for range r.IntN(3) {
		flags := []string{"", "a", "Zz"}[r.IntN(3)]
		rule.Fields.CPE = append(rule.Fields.CPE, match.CPETemplate{Text: randomText(r, 20), Flags: flags})
	}
	return rule
}

func randomProbe(r *rand.Rand) *Probe {
	p := &Probe{
		Protocol: []string{TCP, UDP}[r.IntN(2)], Name: randomWord(r), Payload: make([]byte, 1+r.IntN(40)),
		NoPayload: r.IntN(2) == 0, SourcePort: uint16(r.IntN(3)), Needs: Needs(r.IntN(8)),
		WaitNull: r.IntN(2) == 0, Rarity: r.IntN(10),
		TotalWait: time.Duration(r.IntN(2)*(100+r.IntN(1000))) * time.Millisecond,
	}
	for range r.IntN(3) {
		p.Completes = append(p.Completes, randomWord(r))
	}
	for i := range p.Payload {
		p.Payload[i] = byte(r.IntN(256))
	}
	for range r.IntN(4) {
		first := uint16(r.IntN(1 << 16))
		p.Ports = p.Ports.Union(ports.OfRanges(ports.Range{First: first, Last: first | 0xff}))
		p.TLSPorts = p.TLSPorts.Union(ports.Of(first))
	}
	for range r.IntN(MaxFallbacks + 1) {
		p.Fallbacks = append(p.Fallbacks, Fallback{Name: randomWord(r)})
	}
	for range r.IntN(4) {
		p.Rules = append(p.Rules, randomRule(r))
	}
	return p
}

func TestPrintedParsesToTheSame(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		f := &File{Name: "r"}
		if r.IntN(2) == 0 {
			f.Exclude = ports.List{TCP: ports.Of(1, 2, 9), UDP: ports.Of(uint16(r.IntN(12)))}
		}
		for range r.IntN(4) {
			f.Probes = append(f.Probes, randomProbe(r))
		}
		roundTrip(t, f)
	}
}

// TestPrintLongLines: what fits one line as written fits lines as printed.
func TestPrintLongLines(t *testing.T) {
	payload := bytes.Repeat([]byte{0xff, '|'}, 4000)
	var odd []uint16
	for p := 1; p < 1<<16; p += 2 {
		odd = append(odd, uint16(p))
	}
	roundTrip(t, &File{Name: "long", Probes: []*Probe{{
		Protocol: TCP, Name: "Long", Payload: payload, Ports: ports.Of(odd...),
	}}})
}

func TestPrintRefusesWhatNoLineHolds(t *testing.T) {
	every := make([]byte, 0, 255)
	for c := 1; c < 256; c++ {
		if c != '\n' {
			every = append(every, byte(c))
		}
	}
	for name, rule := range map[string]match.Rule{
		"no delimiter left": {Service: "x", Pattern: string(every)},
		"line feed":         {Service: "x", Pattern: "a\nb"},
		"NUL in a template": {Service: "x", Pattern: "a", Fields: match.Fields{Product: "\x00"}},
		"too long":          {Service: "x", Pattern: strings.Repeat("a", MaxLine)},
	} {
		f := &File{Probes: []*Probe{{Protocol: TCP, Name: "A", Payload: []byte("a"), Rules: []match.Rule{rule}}}}
		if text, err := f.AppendText(nil); err == nil {
			t.Errorf("%s: printed as %q", name, text)
		}
	}
}

// sharedFile finds one of the large files that are not part of the project.
func sharedFile(t *testing.T, paths ...string) (string, []byte) {
	t.Helper()
	for _, path := range paths {
		if data, err := os.ReadFile(path); err == nil {
			return path, data
		}
	}
	t.Skipf("%s is absent", paths[len(paths)-1])
	return "", nil
}

func sharedDir() string {
	if dir := os.Getenv("SONDE_SHARED"); dir != "" {
		return dir
	}
	return filepath.Join("..", "..", "..", "shared")
}

func TestPeerFile(t *testing.T) {
	path, data := sharedFile(t, filepath.Join(sharedDir(), "peer", "nmap-service-probes"))
	f, err := Parse(path, data)
	if err != nil {
		t.Fatal(err)
	}
	hard, soft, tcp := 0, 0, 0
	for _, p := range f.Probes {
		if p.Protocol == TCP {
			tcp++
		}
		for i := range p.Rules {
			if p.Rules[i].Soft {
				soft++
			} else {
				hard++
			}
		}
	}
	got := []int{len(f.Probes), tcp, hard, soft}
	if diff := cmp.Diff([]int{187, 103, 11968, 203}, got); diff != "" {
		t.Errorf("probes, TCP probes, match and softmatch lines (-want +got):\n%s", diff)
	}
	roundTrip(t, f)
}

func TestDebianFile(t *testing.T) {
	path, data := sharedFile(t, "/usr/share/nmap/nmap-service-probes")
	f, err := Parse(path, data)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Probes) < 100 {
		t.Errorf("only %d probes", len(f.Probes))
	}
	roundTrip(t, f)
}

func FuzzParse(f *testing.F) {
	twenty, err := os.ReadFile("testdata/twenty.probes")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(twenty)
	f.Add([]byte("Exclude T:1-5,http*\nProbe TCP NULL q||\n# id: a\n# outcome: blocked\nmatch x m|^a|is p/b/ v=c= cpe:/a:b:c/a\n"))
	f.Add([]byte("# needs: held\n# wait: null\nProbe UDP A q~\\x00~ no-payload source=5\nports 1-5\nsslports 6\n" +
		"rarity 3\ntotalwaitms 200\ntcpwrappedms 300\nfallback B,C\nsoftmatch y mx^ax\n"))
	f.Add([]byte("Probe TCP A q|a|\r\nmatch\r\n\r\n\x00\n p\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("fuzz", data)
		if err != nil {
			lines := bytes.Count(data, []byte("\n")) + 1
			mistakes, ok := errors.AsType[Errors](err)
			if !ok {
				t.Fatal(err)
			}
			for _, e := range mistakes {
				if e.Pos.Line < 1 || e.Pos.Line > lines || e.Pos.Col < 1 || e.Reason == "" {
					t.Fatalf("error without a place: %+v", e)
				}
			}
		}
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			if len(line) > MaxLine/4 {
				return // printed it may be longer than a line may be
			}
		}
		roundTrip(t, file)
	})
}
