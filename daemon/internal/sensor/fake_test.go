package sensor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"sonde/capture"
	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/match"
	"sonde/probes"
	"sonde/probes/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	sweepEvery  = 10 * time.Minute
	verifyEvery = 5 * time.Minute
	sweepTakes  = 10 * time.Second
)

// world is a network of one address: what listens on which port, what looking
// costs, and what was looked at. It is Visitor and Sweeper.
type world struct {
	t  *testing.T
	mu sync.Mutex

	open      map[uint16]string // version by port
	outcome   map[uint16]probes.Outcome
	guessed   map[uint16]string // services by the port's number alone, where outcome is
	visitTime time.Duration
	sweepTime time.Duration
	degraded  bool
	dead      bool   // the host answers nothing
	fragile   uint16 // the port at which a visit kills it
	sweepErr  error

	log     []string // "visit 22", "sweep", in order
	visits  []visited
	sweeps  []time.Time // begins of those over all targets
	swept   []int       // how many targets each of them had
	asked   []time.Time // when they asked a target
	looks   int         // sweeps over a single target
	flying  map[netip.AddrPort]bool
	most    int // visits at once
	yielded atomic.Int64
}

type visited struct {
	port  uint16
	at    time.Time
	probe string // that was remembered
}

func newWorld(t *testing.T, ports ...uint16) *world {
	w := &world{t: t, open: map[uint16]string{}, outcome: map[uint16]probes.Outcome{},
		flying: map[netip.AddrPort]bool{}, visitTime: time.Second, sweepTime: sweepTakes}
	for _, p := range ports {
		w.open[p] = "1.0"
	}
	return w
}

func (w *world) set(port uint16, version string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open[port] = version; version == "" {
		delete(w.open, port)
	}
}

func (w *world) note(format string, args ...any) { w.log = append(w.log, fmt.Sprintf(format, args...)) }

// Begin visits in a goroutine of its own.
func (w *world) Begin(ep probes.Endpoint, known session.Remembered, done func(probes.Observation)) func(error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() { done(w.visit(ctx, ep, known.Probe)) }()
	return cancel
}

// visit looks when it begins, and answers after visitTime.
func (w *world) visit(ctx context.Context, ep probes.Endpoint, probe string) probes.Observation {
	w.mu.Lock()
	id := netip.AddrPortFrom(ep.Addr, ep.Port)
	if w.flying[id] {
		w.t.Errorf("%s is visited twice at once", id)
	}
	w.flying[id] = true
	w.most = max(w.most, len(w.flying))
	w.visits = append(w.visits, visited{ep.Port, time.Now(), probe})
	w.dead = w.dead || ep.Port == w.fragile
	dead := w.dead
	version, there := w.open[ep.Port]
	outcome, own := w.outcome[ep.Port]
	w.note("visit %d", ep.Port)
	w.mu.Unlock()
	defer func() { w.mu.Lock(); defer w.mu.Unlock(); delete(w.flying, id) }()

	o := probes.Observation{Addr: ep.Addr, Port: ep.Port, Transport: ep.Transport, Strength: probes.Unmatched}
	select {
	case <-time.After(w.visitTime):
	case <-ctx.Done():
		o.Outcome, o.Reason = probes.OutcomeInconclusive, "cut short"
		return o
	}
	o.At = time.Now()
	switch {
	case dead:
		o.Outcome = probes.OutcomeSilent
		if ep.Port == w.fragile { // the others could not even connect
			o.State, o.Cost.Probes, o.Asked = probes.Open, 1, []string{"GetRequest"}
		}
	case own:
		o.Outcome, o.Cost.Probes = outcome, 1
		if name := w.guessed[ep.Port]; name != "" {
			o.Service, o.Strength = name, probes.Table
		}
	case there:
		o.State, o.Outcome, o.Strength, o.Probe = probes.Open, probes.OutcomeAnswered, probes.Hard, "NULL"
		o.Identity = match.Identity{Service: "ssh", Product: "X", Version: version}
	default:
		o.State, o.Outcome = probes.Closed, probes.OutcomeRefused
	}
	return o
}

// Sweep looks at the targets of the plan in the order of their numbers, so that
// tests can say what comes first.
func (w *world) Sweep(ctx context.Context, p capture.Plan, yield func(capture.Reply)) (capture.Stats, error) {
	skip := p.Skip
	p.Skip = nil
	list := slices.SortedFunc(p.Targets(), func(a, b capture.Target) int { return a.Addr.Compare(b.Addr) })
	return w.look(ctx, list, skip, yield)
}

// Look looks at each target when its turn comes, and takes sweepTime when they
// are those of a sweep.
func (w *world) Look(ctx context.Context, targets iter.Seq[capture.Target], yield func(capture.Reply)) (capture.Stats, error) {
	return w.look(ctx, slices.Collect(targets), nil, yield)
}

func (w *world) look(ctx context.Context, list []capture.Target, skip func(netip.Addr) bool, yield func(capture.Reply)) (capture.Stats, error) {
	w.mu.Lock()
	if len(list) == 0 || len(list) > looksAside+1 {
		w.sweeps, w.swept = append(w.sweeps, time.Now()), append(w.swept, len(list))
		w.note("sweep")
	} else {
		w.looks++
	}
	w.mu.Unlock()
	for _, target := range list {
		if skip != nil && skip(target.Addr.Addr()) {
			w.mu.Lock()
			w.swept[len(w.swept)-1]--
			w.mu.Unlock()
			continue
		}
		if len(list) > looksAside+1 {
			w.mu.Lock()
			w.asked = append(w.asked, time.Now())
			w.mu.Unlock()
			select {
			case <-time.After(w.sweepTime / time.Duration(len(list))):
			case <-ctx.Done():
				return capture.Stats{}, ctx.Err()
			}
		}
		r := capture.Reply{Addr: target.Addr, Network: target.Network, Kind: capture.Refused,
			Reason: "conn-refused", At: time.Now()}
		w.mu.Lock()
		if _, there := w.open[target.Addr.Port()]; there {
			r.Kind, r.Reason = capture.Accepted, "syn-ack"
		}
		if w.dead {
			r.Kind, r.Reason = capture.Silent, "no-response"
		}
		w.mu.Unlock()
		yield(r)
		w.yielded.Add(1)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return capture.Stats{Targets: uint64(len(list)), Degraded: w.degraded}, w.sweepErr
}

func (w *world) visitsOf(port uint16) (at []time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range w.visits {
		if v.port == port {
			at = append(at, v.at)
		}
	}
	return at
}

// store is an Inventory in memory that decides with the true function. It
// holds the sensor to the contract: one call at a time, each pass is done only
// after it began.
type store struct {
	w *world

	busy       sync.Mutex
	turn       sync.Mutex
	endpoints  map[event.Key]inventory.Endpoint
	passes     []inventory.Pass
	begun      []inventory.Pass
	degraded   []time.Time
	unfinished []inventory.Unfinished
	events     []event.Event
	alive      []time.Time
	failApply  int
	failPass   int
	applied    int
	applyTakes time.Duration
	loadTakes  time.Duration
}

func newStore(w *world) *store {
	return &store{w: w, endpoints: map[event.Key]inventory.Endpoint{}}
}

// order orders the callers among themselves, for the race detector: the return
// from [synctest.Wait] orders only what was before it.
func (s *store) order() {
	s.turn.Lock()
	defer s.turn.Unlock()
}

func (s *store) enter() func() {
	s.order()
	if !s.busy.TryLock() {
		s.w.t.Error("the inventory is called twice at once")
		s.busy.Lock()
	}
	return s.busy.Unlock
}

func (s *store) Endpoints(_ context.Context, f inventory.Filter) iter.Seq2[inventory.Endpoint, error] {
	return func(yield func(inventory.Endpoint, error) bool) {
		time.Sleep(s.loadTakes)
		for _, e := range s.endpoints {
			if f.Brief {
				e.Pending = nil
			}
			if !e.Retired && !yield(e, nil) {
				return
			}
		}
	}
}

func (s *store) Passes(context.Context) ([]inventory.Pass, error) { return s.passes, nil }

func (s *store) Apply(ctx context.Context, visits []inventory.Visit) ([]inventory.Standing, error) {
	defer s.enter()()
	if ctx.Err() != nil {
		s.w.t.Error("results are stored with a context that has ended")
	}
	time.Sleep(s.applyTakes)
	if s.failApply > 0 {
		s.failApply--
		return nil, errors.New("disk full")
	}
	var after []inventory.Standing
	for _, v := range visits {
		if v.Observation.Reason == "cut short" {
			s.w.t.Errorf("%s: a visit that was cut short is stored", v.Key)
		}
		var old *inventory.Endpoint
		if e, ok := s.endpoints[v.Key]; ok {
			old = &e
		} else if len(s.passes) > 0 {
			v.AbsentAt = s.passes[len(s.passes)-1].Started
		}
		now, events := inventory.Decide(old, v, rules)
		s.endpoints[v.Key] = now
		if now.Status == inventory.Unknown {
			delete(s.endpoints, v.Key)
		}
		s.events = append(s.events, events...)
		s.applied++
		after = append(after, inventory.Standing{Status: now.Status, Next: now.Next, Verified: now.LastVerified, Unstable: now.Swing.Unstable})
		s.w.mu.Lock()
		s.w.note("stored %d", v.Key.Port)
		s.w.mu.Unlock()
	}
	return after, nil
}

func (s *store) PassStarted(_ context.Context, p inventory.Pass) error {
	defer s.enter()()
	s.begun = append(s.begun, p)
	return nil
}

func (s *store) PassDone(_ context.Context, p inventory.Pass) error {
	defer s.enter()()
	if s.failPass > 0 {
		s.failPass--
		return errors.New("disk full")
	}
	if p.Degraded {
		s.degraded = append(s.degraded, time.Now())
		return nil
	}
	s.passes, s.unfinished = append(s.passes, p), nil
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.note("pass done")
	return nil
}

func (s *store) SaveUnfinished(_ context.Context, u inventory.Unfinished) error {
	defer s.enter()()
	s.unfinished = []inventory.Unfinished{u}
	return nil
}

func (s *store) TakeUnfinished(context.Context) ([]inventory.Unfinished, error) {
	list := s.unfinished
	s.unfinished = nil
	return list, nil
}

func (s *store) Distress(_ context.Context, since time.Time) (list []inventory.Distress, _ error) {
	for _, e := range s.events {
		if strings.HasPrefix(string(e.Action), "host.") && !e.Timestamp.Before(since) {
			list = append(list, inventory.Distress{Watch: e.Watch, Zone: e.Zone, Addr: e.Endpoint.Addr,
				At: e.Timestamp, Over: e.Action == event.HostRecovered})
		}
	}
	return list, nil
}

func (s *store) Record(_ context.Context, e event.Event) error {
	defer s.enter()()
	e.Timestamp = time.Now()
	s.events = append(s.events, e)
	return nil
}

func (s *store) Alive(context.Context) error {
	defer s.enter()()
	s.alive = append(s.alive, time.Now())
	return nil
}

func (s *store) told() (out []string) {
	for _, e := range s.events {
		out = append(out, string(e.Action))
	}
	return out
}

var (
	rules = inventory.Rules{NewVisits: 2, NewSpacing: 3 * time.Second, ChangedVisits: 3,
		ChangedOver: 30 * time.Second, ClosedVisits: 3, ClosedAfter: time.Minute,
		FilteredVisits: 3, GoneAfter: 3 * time.Minute, UnverifiedAfter: time.Hour}
	addr = netip.MustParseAddr("127.0.0.1")
)

func keyOf(port uint16) event.Key {
	return event.Key{Zone: "default", Addr: addr, Transport: probes.TCP, Port: port}
}

func scopePass() inventory.Pass {
	return inventory.Pass{Watch: "lan", Zone: "default", Method: "connect",
		Targets: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Ports: "1-100"}
}

// configOf is one watch over ports 1 to 100 of one address.
func configOf(w *world, s *store) Config {
	return Config{Inventory: s, Visits: 10, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Watches: []Watch{{
			Name: "lan", Zone: "default", VerifyEvery: verifyEvery, Sweeper: w, Looker: w, Visitor: w,
			Contains: func(netip.Addr, probes.Transport, uint16) bool { return true },
			Sweeps: []Sweep{{Transport: probes.TCP, Every: sweepEvery, Pass: scopePass(),
				Plan: planTo(100, addr)}},
		}}}
}

// planTo asks ports 1 to n of the addresses.
func planTo(n int, addrs ...netip.Addr) capture.Plan {
	p := capture.Plan{Network: capture.TCP, Addrs: some(addrs)}
	for port := 1; port <= n; port++ {
		p.Ports = append(p.Ports, uint16(port))
	}
	return p
}

type some []netip.Addr

func (s some) Len() uint64            { return uint64(len(s)) }
func (s some) At(i uint64) netip.Addr { return s[i] }
func (s some) Index(a netip.Addr) (uint64, bool) {
	i := slices.Index(s, a)
	return uint64(max(i, 0)), i >= 0
}

// runFor runs a sensor in a bubble for a while of its clock; at each point of
// time in between the given function is called, while nothing else runs.
func runFor(t *testing.T, cfg Config, d time.Duration, at map[time.Duration]func()) {
	t.Helper()
	runThis(t, New(cfg), d, at)
}

func runThis(t *testing.T, s *Sensor, d time.Duration, at map[time.Duration]func()) {
	t.Helper()
	cfg := s.cfg
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, func() {}) }()
	begun := time.Now()
	times := make([]time.Duration, 0, len(at))
	for when := range at {
		times = append(times, when)
	}
	slices.Sort(times)
	for _, when := range times {
		time.Sleep(time.Until(begun.Add(when)))
		synctest.Wait()
		at[when]()
		cfg.Inventory.(*store).order() // what it looked at before what comes next
	}
	time.Sleep(time.Until(begun.Add(d)))
	synctest.Wait()
	ended := time.Now()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if took := time.Since(ended); took > 2*cfg.Inventory.(*store).applyTakes {
		t.Errorf("the sensor took %v to end", took)
	}
}

func (s *store) Overdue(context.Context) (list []inventory.Overdue, _ error) {
	for _, e := range s.events {
		o := inventory.Overdue{Watch: e.Watch, Promise: e.Reason}
		switch e.Action {
		case event.WatchOverdue:
			list = append(list, o)
		case event.WatchRecovered:
			list = slices.DeleteFunc(list, func(x inventory.Overdue) bool { return x == o })
		}
	}
	return list, nil
}
