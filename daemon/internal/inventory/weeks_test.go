package inventory

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/daemon/internal/event"
	"sonde/match"
	"sonde/probes"
)

// The world of TestWeeks: what is really there, minute by minute. All times of
// its script are from the start of the first complete pass on.

// A simHost is a machine.
type simHost struct {
	mac      string
	off      bool
	services map[uint16]*simService
	anything bool // every port accepts, and says nothing
}

// A simService is what listens on a port.
type simService struct {
	pool   []string // versions, one of which answers
	certs  []string // of the pool's members, if any
	names  string   // of the certificates
	issuer string
	down   bool // refused
	full   bool // accepts and closes
	banned bool // tells that it does not talk to us
	vague  bool // answers without its version
}

type simWorld struct {
	t     *testing.T
	r     *rand.Rand
	store *Store
	clock *testClock

	hosts  map[string]*simHost // by address
	ports  []uint16
	lost   bool // the router in front of all
	paused bool // ours
	db     string
	due    map[event.Key]time.Time
	script []simStep
}

type simStep struct {
	after time.Duration
	do    func(*simWorld)
}

// observe gives what a visit sees. Of the packets one in twenty is lost, and the
// kernel tries twice.
func (w *simWorld) observe(k event.Key) (o probes.Observation, mac string) {
	h := w.hosts[k.Addr.String()]
	if w.lost || h == nil || h.off || w.r.IntN(simLost) == 0 {
		return probes.Observation{State: probes.Filtered, Outcome: probes.OutcomeSilent}, ""
	}
	s := h.services[k.Port]
	switch {
	case s == nil && h.anything:
		return probes.Observation{State: probes.Open, Outcome: probes.OutcomeSilent}, h.mac
	case s == nil || s.down:
		return probes.Observation{State: probes.Closed, Outcome: probes.OutcomeRefused}, h.mac
	case s.full:
		return probes.Observation{State: probes.Open, Outcome: probes.OutcomeTCPWrapped}, h.mac
	case s.banned:
		return probes.Observation{State: probes.Open, Outcome: probes.OutcomeBlocked}, h.mac
	}
	member := w.r.IntN(len(s.pool))
	o = probes.Observation{State: probes.Open, Outcome: probes.OutcomeAnswered, Strength: probes.Hard,
		Probe: "GetRequest", Database: w.db, Identity: match.Identity{Service: "http", Product: "nginx", Version: s.pool[member]}}
	if w.db != "d1" {
		o.Service = "www" // another word for the same, by the new database
	}
	if s.vague {
		o.Product, o.Version = "", ""
	}
	if len(s.certs) > 0 {
		o.Tunnel = probes.TLS
		o.TLS = []probes.TLSFacts{{Certificate: &probes.Certificate{SHA256: s.certs[member%len(s.certs)],
			SANs: []string{s.names}, Issuer: s.issuer, NotAfter: day1.AddDate(1, 0, 0)}}}
	}
	return o, h.mac
}

const (
	simVerify = 30 * time.Minute
	simLost   = 20 * 20 // one in so many: both tries of one in twenty packets
)

// visit asks endpoints and takes what the store wants next.
func (w *simWorld) visit(keys []event.Key) {
	var visits []Visit
	for _, k := range keys {
		o, mac := w.observe(k)
		visits = append(visits, Visit{Key: k, Watch: "w", Method: "connect", Observation: o,
			At: w.clock.now(), MAC: mac, Crowd: len(keys) - len(visits)})
	}
	for i, after := range mustApply(w.t, w.store, visits...) {
		k := keys[i]
		switch delete(w.due, k); {
		case !after.Next.At.IsZero():
			w.due[k] = after.Next.At
		case after.Status != Gone && after.Status != Unknown:
			w.due[k] = w.clock.now().Add(simVerify - time.Duration(w.r.IntN(300))*time.Second)
		}
		for _, also := range after.Also {
			w.due[also] = w.clock.now()
		}
	}
}

// sweep discovers with three tries, and ends in a pass.
func (w *simWorld) sweep() {
	p := lanPass(w.clock.now())
	p.Watch, p.Exclude, p.Ports = "w", nil, portList(w.ports)
	var found []event.Key
	for _, addr := range slices.Sorted(keysOfMap(w.hosts)) {
		for _, port := range w.ports {
			k := event.Key{Zone: "default", Addr: netip.MustParseAddr(addr), Transport: probes.TCP, Port: port}
			if _, known := w.due[k]; known {
				continue
			}
			for range 3 {
				if o, _ := w.observe(k); o.State == probes.Open {
					found = append(found, k)
					break
				}
			}
		}
	}
	w.visit(found)
	p.Done = w.clock.now()
	p.Degraded = w.lost // the carrier of our interface, which we see
	if err := w.store.PassDone(w.t.Context(), p); err != nil {
		w.t.Fatal(err)
	}
}

func keysOfMap[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func portList(list []uint16) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ","), "[]")
}

// run lives through the script, ten seconds at a time.
func (w *simWorld) run(length time.Duration) {
	start := w.clock.now()
	for n := 0; w.clock.now().Sub(start) < length; n++ {
		for len(w.script) > 0 && w.clock.now().Sub(start) >= w.script[0].after {
			w.script[0].do(w)
			w.script = w.script[1:]
		}
		if !w.paused {
			if n%360 == 0 {
				w.sweep()
			}
			var now []event.Key
			for k, at := range w.due {
				if !at.After(w.clock.now()) {
					now = append(now, k)
				}
			}
			slices.SortFunc(now, func(a, b event.Key) int { return strings.Compare(a.String(), b.String()) })
			if len(now) > 0 {
				w.visit(now)
			}
		}
		w.clock.add(10 * time.Second)
	}
}

func simAddr(i int) string { return fmt.Sprintf("192.0.2.%d", i) }

// newSimWorld has 14 hosts with two services each.
func newSimWorld(t *testing.T, seed uint64) *simWorld {
	w := &simWorld{t: t, r: rand.New(rand.NewPCG(seed, 4)), clock: newClock(), hosts: map[string]*simHost{},
		ports: []uint16{22, 80, 443}, db: "d1", due: map[event.Key]time.Time{}}
	w.store = openStore(t, t.TempDir(), w.clock)
	for i := range 14 {
		w.hosts[simAddr(1+i)] = &simHost{mac: fmt.Sprintf("M%d", 1+i), services: map[uint16]*simService{
			80:  {pool: []string{"1.24"}},
			443: {pool: []string{"1.24"}, certs: []string{fmt.Sprintf("cert%d", 1+i)}, names: fmt.Sprintf("n%d", 1+i), issuer: "CA"},
		}}
	}
	return w
}

// at returns the service, to be changed.
func (w *simWorld) at(host int, port uint16) *simService {
	return w.hosts[simAddr(host)].services[port]
}

// during does something for a while.
func (w *simWorld) during(from, length time.Duration, begin, end func(*simWorld)) {
	w.script = append(w.script, simStep{from, begin}, simStep{from + length, end})
}

func (w *simWorld) then(after time.Duration, do func(*simWorld)) {
	w.script = append(w.script, simStep{after, do})
}

// told lists what was told beyond the first look, without what is about us.
func (w *simWorld) told() (list []string) {
	for _, e := range allEvents(w.t, w.store.Reader) {
		switch e.Action {
		case event.ServiceBaseline, event.WatchBaselined:
			continue
		}
		text := strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Action, e.Target(), strings.Join(e.Changed, ",")))
		list = append(list, text)
	}
	slices.Sort(list)
	return list
}

const hour = time.Hour

// noise is what sites do all the time. None of it is a change.
func (w *simWorld) noise() {
	reboot := func(off bool) func(*simWorld) {
		return func(w *simWorld) {
			for _, h := range w.hosts {
				h.off = off
			}
		}
	}
	w.during(5*hour, 3*time.Minute, reboot(true), reboot(false))
	w.during(8*hour, 10*time.Minute, func(w *simWorld) { w.lost = true }, func(w *simWorld) { w.lost = false })
	w.during(10*hour, 2*hour, func(w *simWorld) { w.at(3, 80).full = true }, func(w *simWorld) { w.at(3, 80).full = false })
	w.during(10*hour, 5*hour, func(w *simWorld) { w.at(4, 80).banned = true }, func(w *simWorld) { w.at(4, 80).banned = false })
	w.during(12*hour, 1*time.Minute, func(w *simWorld) { w.at(5, 80).vague = true }, func(w *simWorld) { w.at(5, 80).vague = false })
	w.during(14*hour, 6*hour, func(w *simWorld) { w.paused = true }, func(w *simWorld) { w.paused = false })
	w.then(24*hour, func(w *simWorld) { // a wider list of ports, with something on them
		w.ports = append(w.ports, 8080)
		w.hosts[simAddr(6)].services[8080] = &simService{pool: []string{"1.24"}}
	})
	w.during(26*hour, 100*time.Minute, func(w *simWorld) { w.lost = true }, func(w *simWorld) { w.lost = false })
	slices.SortStableFunc(w.script, func(a, b simStep) int { return int(a.after - b.after) })
}

// TestWeeksOfNoise: with a pool of two versions and one of certificates, and all
// that sites do, nothing is told to be new, changed or gone but the second
// members of the pools.
func TestWeeksOfNoise(t *testing.T) {
	t.Parallel()
	w := newSimWorld(t, 1)
	w.at(1, 80).pool = []string{"1.24", "1.26"}
	w.at(2, 443).certs = []string{"cert2", "cert2b"}
	w.at(2, 443).pool = []string{"1.24", "1.24"}
	w.noise()
	w.run(34 * hour)
	var wrong []string
	members := 0
	for _, line := range w.told() {
		switch {
		case strings.HasPrefix(line, "service.changed 192.0.2.1:80/tcp"),
			strings.HasPrefix(line, "certificate.renewed 192.0.2.2:443/tcp"):
			members++
		case strings.HasPrefix(line, "service.unstable 192.0.2.1:80/tcp"), strings.HasPrefix(line, "service.stable 192.0.2.1:80/tcp"),
			strings.HasPrefix(line, "service.unstable 192.0.2.2:443/tcp"), strings.HasPrefix(line, "service.stable 192.0.2.2:443/tcp"),
			strings.HasPrefix(line, "watch.unreachable"), strings.HasPrefix(line, "watch.recovered"):
		default:
			wrong = append(wrong, line)
		}
	}
	if len(wrong) > 0 || members != 2 {
		t.Errorf("%d members of pools, wrong:\n%s", members, strings.Join(wrong, "\n"))
	}
}

// TestWeeksOfChanges: amid losses every true change is told exactly once.
func TestWeeksOfChanges(t *testing.T) {
	t.Parallel()
	w := newSimWorld(t, 1)
	var want []string
	expect := func(list ...string) { want = append(want, list...) }
	for i := 1; i <= 4; i++ {
		w.then(time.Duration(3+i)*hour, func(w *simWorld) { w.at(i, 80).pool = []string{"1.26"} })
		expect(fmt.Sprintf("service.changed 192.0.2.%d:80/tcp version", i))
		w.then(time.Duration(8+i)*hour, func(w *simWorld) { w.at(i, 443).certs = []string{fmt.Sprintf("new%d", i)} })
		expect(fmt.Sprintf("certificate.renewed 192.0.2.%d:443/tcp tls.cert", i))
		w.then(time.Duration(13+i)*hour, func(w *simWorld) {
			s := w.at(i, 443)
			s.certs, s.issuer = []string{fmt.Sprintf("other%d", i)}, "CA2"
		})
		expect(fmt.Sprintf("certificate.changed 192.0.2.%d:443/tcp tls.cert", i))
		w.then(time.Duration(18+i)*hour, func(w *simWorld) { w.at(i, 443).down = true })
		expect(fmt.Sprintf("service.gone 192.0.2.%d:443/tcp", i))
		w.then(time.Duration(22+i)*hour, func(w *simWorld) { w.at(i, 443).down = false })
		expect(fmt.Sprintf("service.returned 192.0.2.%d:443/tcp", i))
	}
	for i := 5; i <= 7; i++ {
		w.then(time.Duration(i)*hour, func(w *simWorld) { w.hosts[simAddr(i)].off = true })
		expect("host.gone " + simAddr(i))
		w.then(time.Duration(15+i)*hour, func(w *simWorld) { w.hosts[simAddr(i)].off = false })
		expect("host.returned " + simAddr(i))
	}
	w.then(9*hour, func(w *simWorld) { // renumbered
		w.hosts[simAddr(50)] = w.hosts[simAddr(8)]
		delete(w.hosts, simAddr(8))
	})
	expect("host.moved 192.0.2.50 addr")
	w.then(12*hour, func(w *simWorld) { // swapped by DHCP
		a, b := simAddr(9), simAddr(10)
		w.hosts[a].services[80].pool = []string{"1.24"}
		w.hosts[a], w.hosts[b] = w.hosts[b], w.hosts[a]
	})
	expect("host.moved 192.0.2.9 addr", "host.moved 192.0.2.10 addr")
	w.then(14*hour, func(w *simWorld) {
		w.hosts[simAddr(60)] = &simHost{mac: "M60", services: map[uint16]*simService{80: {pool: []string{"1.24"}}}}
	})
	expect("host.new 192.0.2.60", "service.new 192.0.2.60:80/tcp")
	w.then(16*hour, func(w *simWorld) { w.hosts[simAddr(11)].services[22] = &simService{pool: []string{"9"}} })
	expect("service.new 192.0.2.11:22/tcp")
	w.then(17*hour, func(w *simWorld) { w.ports = append(w.ports, manyPorts()...) })
	w.then(20*hour+30*time.Minute, func(w *simWorld) { w.hosts[simAddr(12)].anything = true })
	expect("host.answers_everything 192.0.2.12")
	w.then(29*hour+30*time.Minute, func(w *simWorld) { w.db = "d2" })
	slices.SortStableFunc(w.script, func(a, b simStep) int { return int(a.after - b.after) })
	w.run(34 * hour)
	var got []string
	for _, line := range w.told() {
		if !strings.HasPrefix(line, "service.reclassified ") {
			got = append(got, line)
		}
	}
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("told (-want +got):\n%s", d)
	}
}

func manyPorts() (list []uint16) {
	for p := uint16(1000); p < 1070; p++ {
		list = append(list, p)
	}
	return list
}
