package simulation

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"sonde/daemon/internal/event"
	"sonde/match"
	"sonde/probes"
	"sonde/probes/session"
)

// The recorded services are on hosts of their own, where nothing else happens
// but what happens to all.
const (
	recordedFirst, recordedLast = 75, 80 // hosts
	recordedPort, recordedPorts = 5, 14  // of each, of which …
	upgraded                    = 10     // … the first are upgraded, once
)

// newFamilies are what the first database lacks: what they recognise was
// something else before, or nothing, and is reclassified later.
var newFamilies = []string{"messaging.probes", "monitoring.probes", "database.probes"}

// A recording is what real servers answered, and what two databases make of it.
type recording struct {
	scratch *match.Scratch
	db      map[string]*probes.Database // by the name that the play has for it
	answers []face
	newer   map[int]int // of an answer: one of the same product in another version
	now     map[*service]int
}

// record loads the answers that real servers gave, as the examples of the
// built-in database have them.
func record(t *testing.T) *recording {
	t.Helper()
	r := &recording{scratch: match.NewScratch(), newer: map[int]int{}, now: map[*service]int{}}
	all, err := probes.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	old := slices.DeleteFunc(slices.Clone(all), func(s probes.Source) bool { return slices.Contains(newFamilies, s.Name) })
	if len(old) != len(all)-len(newFamilies) {
		t.Fatalf("%d of %d files without %v", len(old), len(all), newFamilies)
	}
	r.db = map[string]*probes.Database{"database-1": load(t, old), "database-2": load(t, all)}
	examples, err := probes.BuiltinExamples()
	if err != nil {
		t.Fatal(err)
	}
	for i := range examples {
		e := &examples[i]
		if e.Real() && e.Transport == probes.TCP && !e.Blocked && !e.Soft && r.db["database-1"].Lookup(probes.TCP, e.Probe) != nil {
			r.answers = append(r.answers, face{probe: e.Probe, recorded: e.Answer})
		}
	}
	r.pair()
	if len(r.newer) < 50 {
		t.Fatalf("only %d of %d answers have another version", len(r.newer), len(r.answers))
	}
	return r
}

func load(t *testing.T, sources []probes.Source) *probes.Database {
	t.Helper()
	db, err := probes.Load(sources...)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// pair finds for each answer that both databases read alike the next one to the
// same probe by the same product in another version: a server that was upgraded
// is asked as before.
func (r *recording) pair() {
	type line struct{ service, product, probe string }
	by := map[line][]int{}
	version := make([]string, len(r.answers))
	for i := range r.answers {
		a, b := r.read("database-1", &r.answers[i], 1), r.read("database-2", &r.answers[i], 1)
		if a.Strength == probes.Hard && a.Product != "" && a.Version != "" && a.Version == b.Version && a.Product == b.Product {
			k := line{a.Service, a.Product, a.Probe}
			by[k], version[i] = append(by[k], i), a.Version
		}
	}
	for _, list := range by {
		for at, i := range list {
			for _, other := range slices.Concat(list[at:], list[:at]) {
				if version[other] != version[i] {
					r.newer[i] = other
					break
				}
			}
		}
	}
}

// read gives what a database makes of an answer at a port.
func (r *recording) read(database string, f *face, port uint16) probes.Observation {
	o := probes.Observation{Transport: probes.TCP, Port: port, State: probes.Open, Reason: "syn-ack", Outcome: probes.OutcomeAnswered,
		Probe: f.probe, Evidence: &probes.Evidence{Probe: f.probe, Answer: f.recorded}}
	o, _ = r.again(database, &o)
	return o
}

// again is [session.Again], with the names that the play has for databases.
func (r *recording) again(database string, was *probes.Observation) (probes.Observation, bool) {
	o, ok := session.Again(r.scratch, r.db[database], was)
	if ok {
		o.Database, o.Evidence.Database = database, database
	}
	return o, ok
}

// populate gives each recorded host as many answers as it has ports: first those
// to which something can happen.
func (r *recording) populate(p *play) {
	order := make([]int, len(r.answers))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		_, x := r.newer[a]
		_, y := r.newer[b]
		return cmp.Compare(rank(x), rank(y))
	})
	for n := recordedFirst; n <= recordedLast; n++ {
		services := map[uint16]*service{}
		for port := uint16(recordedPort); port < recordedPort+recordedPorts; port++ {
			i := order[((n-recordedFirst)*7+int(port)*len(order)/recordedPorts)%len(order)]
			if port < recordedPort+upgraded {
				i = order[((n-recordedFirst)*recordedPorts+int(port))%len(r.newer)]
			}
			s := &service{faces: []face{r.answers[i]}}
			services[port], r.now[s] = s, i
		}
		p.w.add(addrOf(n), services)
	}
}

func rank(first bool) int {
	if first {
		return 0
	}
	return 1
}

// changes lets a server be upgraded every two hours: what it answers from then
// on is what another real one of that version did. None is upgraded twice, as a
// return to what was seen before is no news.
func (r *recording) changes(p *play) {
	const hosts = recordedLast - recordedFirst + 1
	last := time.Duration(p.days)*day - 14*time.Hour
	for k := range hosts * upgraded {
		at := day + time.Duration(k)*2*time.Hour
		if at > last {
			return
		}
		n, port := recordedFirst+k%hosts, uint16(recordedPort+k/hosts)
		p.change(at, func() {
			s := p.host(n).ports[port]
			r.now[s] = r.newer[r.now[s]]
			s.faces[0] = r.answers[r.now[s]]
		}, want{action: event.ServiceChanged, addr: addrOf(n), port: port, holds: func(e *event.Event) bool {
			return e.Cause == event.CauseTarget && e.Previous != nil && e.Evidence != nil &&
				slices.Contains(e.Changed, "version") && e.Previous.Version != e.Endpoint.Version
		}})
	}
}
