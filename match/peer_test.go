package match

import (
	"testing"

	"sonde/match/internal/shared"
)

// A peerDatabase is the peer's file, compiled.
type peerDatabase struct {
	probes []*shared.Probe
	lists  map[*shared.Probe]*List
	sets   map[string]*Set
}

func loadPeer(tb testing.TB) *peerDatabase {
	tb.Helper()
	db := &peerDatabase{
		probes: shared.Peer(tb),
		lists:  make(map[*shared.Probe]*List),
		sets:   make(map[string]*Set),
	}
	for _, p := range db.probes {
		list, err := CompileList(rulesOf(p))
		if err != nil {
			tb.Errorf("%s %s: %v", p.Transport, p.Name, err)
		}
		db.lists[p] = list
	}
	return db
}

func rulesOf(p *shared.Probe) []Rule {
	rules := make([]Rule, len(p.Lines))
	for i, l := range p.Lines {
		rules[i] = Rule{
			Pos: Position{File: "peer", Line: l.Number}, Soft: l.Soft, Service: l.Service,
			Pattern: l.Pattern, IgnoreCase: l.IgnoreCase, DotAll: l.DotAll, Fields: fieldsOf(l),
		}
	}
	return rules
}

func fieldsOf(l shared.Line) (f Fields) {
	for _, field := range shared.SplitFields(l.Fields) {
		switch field.Name {
		case "p":
			f.Product = field.Text
		case "v":
			f.Version = field.Text
		case "i":
			f.Info = field.Text
		case "h":
			f.Hostname = field.Text
		case "o":
			f.OS = field.Text
		case "d":
			f.Device = field.Text
		case "cpe":
			f.CPE = append(f.CPE, CPETemplate{Text: field.Text})
		}
	}
	return f
}

// set gives the search order for a probe, nil for one that the peer lacks.
func (db *peerDatabase) set(transport, probe string) *Set {
	key := transport + " " + probe
	if s, ok := db.sets[key]; ok {
		return s
	}
	var lists []*List
	for _, p := range shared.Chain(db.probes, transport, probe) {
		lists = append(lists, db.lists[p])
	}
	var set *Set
	if lists != nil {
		set = NewSet(lists...)
	}
	db.sets[key] = set
	return set
}

// TestPeerFileCompiles demands that no line of the peer's file is refused.
func TestPeerFileCompiles(t *testing.T) {
	db := loadPeer(t)
	lines := 0
	for _, l := range db.lists {
		lines += l.Len()
	}
	t.Logf("%d lines of %d probes compile", lines, len(db.probes))
}

// BenchmarkCorpus searches the recorded answers in the peer's file.
func BenchmarkCorpus(b *testing.B) {
	db := loadPeer(b)
	type job struct {
		set  *Set
		data []byte
	}
	var jobs []job
	for _, a := range shared.Answers(b) {
		if set := db.set(a.Transport, a.Probe); set != nil {
			jobs = append(jobs, job{set, a.Data})
		}
	}
	sc := NewScratch()
	for _, j := range jobs {
		j.set.Match(sc, j.data)
	}
	b.ReportAllocs()
	searches := 0
	for b.Loop() {
		for _, j := range jobs {
			j.set.Match(sc, j.data)
		}
		searches += len(jobs)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(searches)/1000, "µs/answer")
}

// BenchmarkCompile compiles the peer's whole file.
func BenchmarkCompile(b *testing.B) {
	probes := shared.Peer(b)
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range probes {
			if _, err := CompileList(rulesOf(p)); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// TestPeerSearchDoesNotAllocate searches all recorded answers in lines without
// fields, so that there are no strings to make.
func TestPeerSearchDoesNotAllocate(t *testing.T) {
	db := loadPeer(t)
	for p, l := range db.lists {
		rules := rulesOf(p)
		for i := range rules {
			rules[i].Fields = Fields{}
		}
		bare, err := CompileList(rules)
		if err != nil {
			t.Fatal(err)
		}
		*l = *bare
	}
	sc := NewScratch()
	answers := shared.Answers(t)
	sets := make([]*Set, len(answers))
	for i, a := range answers {
		sets[i] = db.set(a.Transport, a.Probe)
	}
	search := func() {
		for i, set := range sets {
			if set != nil {
				set.Match(sc, answers[i].Data)
			}
		}
	}
	search()
	n := testing.AllocsPerRun(2, search)
	if n != 0 {
		t.Errorf("%v allocations in %d searches", n, len(answers))
	}
}
