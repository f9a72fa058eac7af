package probes

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/match"
	"sonde/probes/grammar"
	"sonde/probes/ports"
)

func mustLoad(t *testing.T, files ...string) *Database {
	t.Helper()
	db, err := Load(sourcesOf(files...)...)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// sourcesOf names the files a, b, c …
func sourcesOf(files ...string) []Source {
	var out []Source
	for i, text := range files {
		out = append(out, Source{Name: string(rune('a' + i)), Data: []byte(text)})
	}
	return out
}

func probeNames(list []*Probe) []string {
	var out []string
	for _, p := range list {
		out = append(out, string(p.Transport)+" "+p.Name)
	}
	return out
}

func TestLoadJoinsProbes(t *testing.T) {
	db := mustLoad(t,
		"Exclude T:9100\nProbe TCP NULL q||\nmatch ssh m|^SSH| p/one/\nProbe TCP Get q|GET|\nports 80\nrarity 1\n",
		"Exclude U:7\nProbe TCP NULL q||\ntotalwaitms 6000\nmatch ssh m|^SSH-2| p/two/\nmatch ftp m|^220|\n"+
			"# needs: held\n# wait: null\nProbe TCP Get q|GET| no-payload\nports 8080\nsslports 443\nfallback Hello\n"+
			"Probe TCP Hello q|EHLO|\n")
	if got, want := probeNames(slices.Collect(db.Probes())), []string{"tcp NULL", "tcp Get", "tcp Hello"}; !slices.Equal(got, want) {
		t.Fatalf("probes %v, want %v", got, want)
	}
	get := db.Lookup(TCP, "Get")
	if get.Ports.String() != "80,8080" || get.TLSPorts.String() != "443" || get.Rarity != 1 ||
		get.Needs != NeedHeld || !get.WaitNull || !get.NoPayload || get.TotalWait != DefaultTotalWait {
		t.Errorf("reopened probe: %+v", get)
	}
	if got, want := probeNames(slices.Collect(get.Chain())), []string{"tcp Get", "tcp Hello", "tcp NULL"}; !slices.Equal(got, want) {
		t.Errorf("chain %v, want %v", got, want)
	}
	null := db.Null()
	if null.TotalWait != 6*time.Second || null.TCPWrapped != DefaultTCPWrapped || null.Rarity != DefaultRarity {
		t.Errorf("NULL: %+v", null)
	}
	if got := db.Exclude.String(); got != "T:9100,U:7" {
		t.Errorf("Exclude %s", got)
	}
	res := null.Search().Match(match.NewScratch(), []byte("SSH-2.0"))
	if res.Identity.Product != "one" {
		t.Errorf("the first file's line does not come first: %v", &res.Identity)
	}
}

func TestHashIsOfContents(t *testing.T) {
	a := mustLoad(t, "Probe TCP A q|a|\n", "Probe TCP B q|b|\n")
	b, err := Load(Source{Name: "other", Data: []byte("Probe TCP A q|a|\n")}, Source{Name: "name", Data: []byte("Probe TCP B q|b|\n")})
	if err != nil {
		t.Fatal(err)
	}
	c := mustLoad(t, "Probe TCP A q|a|\nProbe TCP B q|b|\n", "")
	if a.Hash != b.Hash || len(a.Hash) != 64 {
		t.Errorf("names change the hash: %s and %s", a.Hash, b.Hash)
	}
	if a.Hash == c.Hash {
		t.Error("the border between files does not count")
	}
}

func TestFallbackResolution(t *testing.T) {
	db := mustLoad(t, `Probe UDP Dns q|u|
match domain m|^udp|
Probe TCP NULL q||
match late m|^null|
Probe TCP DnsTCP q|t|
fallback Dns
Probe TCP Both q|1|
match tcp-both m|^both|
Probe UDP Both q|1|
match udp-both m|^both|
Probe TCP User q|2|
fallback Both,DnsTCP
Probe UDP UserU q|3|
fallback Both,NULL
`)
	chains := map[string][]string{
		"tcp NULL":   {"tcp NULL"},
		"tcp DnsTCP": {"tcp DnsTCP", "udp Dns", "tcp NULL"},
		"tcp User":   {"tcp User", "tcp Both", "tcp DnsTCP", "tcp NULL"},
		"udp UserU":  {"udp UserU", "udp Both", "tcp NULL"},
		"udp Dns":    {"udp Dns"},
	}
	for p := range db.Probes() {
		name := string(p.Transport) + " " + p.Name
		if want, ok := chains[name]; ok {
			if diff := cmp.Diff(want, probeNames(slices.Collect(p.Chain()))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
	scratch := match.NewScratch()
	for _, tt := range []struct {
		transport              Transport
		probe, answer, service string
	}{
		{TCP, "DnsTCP", "udp", "domain"},
		{TCP, "DnsTCP", "null", "late"},
		{UDP, "Dns", "null", ""},
		{TCP, "User", "both", "tcp-both"},
		{TCP, "User", "udp", ""}, // fallbacks of a fallback do not count
		{UDP, "UserU", "both", "udp-both"},
	} {
		res := db.Lookup(tt.transport, tt.probe).Search().Match(scratch, []byte(tt.answer))
		if res.Identity.Service != tt.service {
			t.Errorf("%s %s, answer %q: service %q, want %q",
				tt.transport, tt.probe, tt.answer, res.Identity.Service, tt.service)
		}
	}
}

func TestLoadKeepsTheGoodAndTellsTheBad(t *testing.T) {
	db, err := Load(sourcesOf(
		"Probe TCP NULL q||\nrarity 12\n# id: x\nmatch a m|(|\nmatch b m|x*|\n# id: x\nmatch c m|^c|\nfallback Nowhere\n",
		"Probe TCP Empty q||\nProbe TCP NULL q||\n# id: x\nmatch d m|^d|\nmatch e m|^(?=e)e|\nbogus\nmatch f m|f| v/$P(/\n")...)
	var list Problems
	if !errors.As(err, &list) {
		t.Fatalf("error %v", err)
	}
	var got []string
	for _, p := range list {
		if p.Class != Mistake || p.Text == "" {
			t.Errorf("class %q of %v", p.Class, p)
		}
		pos := p.Pos
		pos.Col = 0
		got = append(got, pos.String())
	}
	want := []string{"a:2", "a:4", "a:5", "a:7", "a:8", "b:1", "b:4", "b:6", "b:7"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s\n%v", diff, err)
	}
	var services []string
	for r := range db.Rules() {
		services = append(services, r.Service)
	}
	if len(db.Unsupported) == 1 {
		services = append(services, "unsupported")
		if !errors.Is(db.Unsupported[0], match.ErrUnsupported) {
			t.Errorf("unsupported, but why: %v", db.Unsupported[0])
		}
	} else {
		services = append(services[:0:0], "c", "d", "unsupported") // look-ahead is understood
	}
	if diff := cmp.Diff([]string{"c", "d", "unsupported"}, services); diff != "" {
		t.Errorf("rules that are left (-want +got):\n%s", diff)
	}
	if lines := strings.Count(err.Error(), "\n") + 1; lines != len(list) {
		t.Errorf("%d lines for %d errors", lines, len(list))
	}
	var ge *grammar.Error
	var re *match.RuleError
	if !errors.As(err, &ge) || !errors.As(err, &re) {
		t.Error("the causes cannot be found by errors.As")
	}
}

func TestLoadOfNothing(t *testing.T) {
	db := mustLoad(t)
	if db.Null() != nil || db.Lookup(TCP, "NULL") != nil || db.Ordered(TCP) != nil ||
		db.Ladder(LadderRequest{Transport: TCP, Intensity: 9}) != nil {
		t.Error("an empty database has something")
	}
}

func TestMergePrintsOneFile(t *testing.T) {
	files := sourcesOf("Probe TCP NULL q||\nmatch a m|a|\nProbe TCP G q|g|\nports 1\n", "Probe TCP G q|g|\nports 2\nmatch b m|b|\n")
	f, err := Merge(files...)
	if err != nil {
		t.Fatal(err)
	}
	text, err := f.AppendText(nil)
	if err != nil {
		t.Fatal(err)
	}
	const want = "Probe TCP NULL q||\nmatch a m|a|\n\nProbe TCP G q|g|\nports 1-2\nmatch b m|b|\n"
	if string(text) != want {
		t.Errorf("merged:\n%s\nwant:\n%s", text, want)
	}
}

func TestStatistics(t *testing.T) {
	db := mustLoad(t, "Probe TCP NULL q||\nmatch ssh m|^a| p/A/ v/$1/\nmatch ssh m|^b| p/A/\nsoftmatch ftp m|^c|\nProbe UDP U q|u|\nmatch dns m|^d| p/B/\n")
	want := Statistics{TCPProbes: 1, UDPProbes: 1, Match: 3, SoftMatch: 1, Services: 3, Products: 2, WithVersion: 1}
	if diff := cmp.Diff(want, db.Statistics()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestBuiltinHoldsPrintPorts: no probe of ours is sent to a print port just
// like that. Everything else about the built-in files is in TestExamples.
func TestBuiltinHoldsPrintPorts(t *testing.T) {
	sources, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) == 0 {
		t.Fatal("there are no built-in probe files")
	}
	db, _ := Load(sources...)
	printers := ports.OfRanges(ports.Range{First: 9100, Last: 9116})
	for _, p := range db.Ordered(TCP) {
		if !p.Ports.Intersect(printers).IsEmpty() && p.Needs&NeedHeld == 0 {
			t.Errorf("probe %s lists print ports but does not need %q", p.Name, NeedHeld)
		}
	}
}

// TestForeignFiles loads the large files of others: each line is understood,
// or listed as unsupported.
func TestForeignFiles(t *testing.T) {
	shared := os.Getenv("SONDE_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "shared")
	}
	for _, tt := range []struct {
		path        string
		lines       int
		unsupported int // at most
	}{
		{filepath.Join(shared, "peer", "nmap-service-probes"), 12171, 900},
		{"/usr/share/nmap/nmap-service-probes", 11000, 900},
	} {
		t.Run(filepath.Base(filepath.Dir(tt.path)), func(t *testing.T) {
			data, err := os.ReadFile(tt.path)
			if err != nil {
				t.Skipf("%s is absent", tt.path)
			}
			start := time.Now()
			db, err := Load(Source{Name: tt.path, Data: data})
			t.Logf("loaded in %v: %+v", time.Since(start).Round(time.Millisecond), db.Statistics())
			if err != nil {
				t.Fatal(err)
			}
			s := db.Statistics()
			if n := s.Match + s.SoftMatch + s.Unsupported; n < tt.lines {
				t.Errorf("%d lines, want at least %d", n, tt.lines)
			}
			if s.Unsupported > tt.unsupported {
				t.Errorf("%d lines unsupported, want at most %d", s.Unsupported, tt.unsupported)
			}
			lint := Lint(Source{Name: tt.path, Data: data})
			t.Logf("lint: %d mistakes, %d unsupported, %d overlaps, %d doubts",
				lint.Count(Mistake), lint.Count(Unsupported), lint.Count(Overlap), lint.Count(Doubt))
		})
	}
}
