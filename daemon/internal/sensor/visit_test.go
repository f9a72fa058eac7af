package sensor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sonde/capture"
	"sonde/daemon/internal/event"
	"sonde/daemon/internal/schedule"
	"sonde/probes"
	"sonde/probes/session"
)

// patient is a Visitor whose visits last until somebody ends them. It has no
// goroutine either.
type patient struct {
	mu     sync.Mutex
	asked  []*asked
	ending time.Duration // from cancel to done
}

type asked struct {
	ep     probes.Endpoint
	done   func(probes.Observation)
	reason error // it was cancelled with
}

func (p *patient) Begin(ep probes.Endpoint, _ session.Remembered, done func(probes.Observation)) func(error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := &asked{ep: ep, done: done}
	p.asked = append(p.asked, a)
	return func(reason error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		a.reason = reason
		time.AfterFunc(p.ending, func() { p.end(a, probes.OutcomeInconclusive, "cut short") })
	}
}

// all is what it was asked so far. Its lock orders what a test looks at before
// what the sensor does next, as [synctest.Wait] orders only the other way.
func (p *patient) all() []*asked {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

func (p *patient) end(a *asked, o probes.Outcome, reason string) {
	a.done(probes.Observation{Addr: a.ep.Addr, Port: a.ep.Port, Transport: a.ep.Transport,
		Strength: probes.Unmatched, State: probes.Open, Outcome: o, Reason: reason, At: time.Now()})
}

// found is a world of n addresses with 100 open ports each, and who asks them.
func found(t *testing.T, n int) (*patient, *store, Config) {
	w := newWorld(t)
	for port := uint16(1); port <= 100; port++ {
		w.open[port] = "1.0"
	}
	s := newStore(w)
	p := &patient{}
	cfg := configOf(w, s)
	cfg.Visits, cfg.Watches[0].Visitor = 100*n, p
	cfg.Alike = 100 // all of them may say nothing
	var addrs []netip.Addr
	for i := range n {
		addrs = append(addrs, netip.AddrFrom4([4]byte{127, 0, byte(i), 1}))
	}
	cfg.Watches[0].Sweeps[0].Plan = planTo(100, addrs...)
	return p, s, cfg
}

// TestVisitsTakeNoGoroutine: 10,000 visits that wait cost the sensor no more
// goroutines than one.
func TestVisitsTakeNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, cfg := found(t, 100)
		idle := runtime.NumGoroutine()
		runFor(t, cfg, 2*time.Minute, map[time.Duration]func(){
			time.Minute: func() {
				if n := len(p.all()); n != 10_000 {
					t.Errorf("%d visits under way, want 10,000", n)
				}
				if n := runtime.NumGoroutine() - idle; n > 5 {
					t.Errorf("they take %d goroutines", n)
				}
				for _, a := range p.all() {
					p.end(a, probes.OutcomeAnswered, "syn-ack")
				}
			},
		})
		if s.applied != 10_000 || len(s.passes) != 1 {
			t.Errorf("%d results stored, %d passes", s.applied, len(s.passes))
		}
	})
}

// TestEndCutsVisitsShort: the end of the sensor ends all visits, waits for
// them, and stores only what had ended before.
func TestEndCutsVisitsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, cfg := found(t, 1)
		p.ending = 5 * time.Millisecond
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- New(cfg).Run(ctx, func() {}) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(p.all()) != 100 {
			t.Fatalf("%d visits under way, want 100", len(p.all()))
		}
		p.end(p.all()[0], probes.OutcomeAnswered, "syn-ack") // in the moment in which it ends
		begun := time.Now()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took != p.ending {
			t.Errorf("the sensor ended after %v, its visits after %v", took, p.ending)
		}
		for _, a := range p.all()[1:] {
			if !errors.Is(a.reason, context.Canceled) {
				t.Fatalf("port %d: cancelled with %v", a.ep.Port, a.reason)
			}
		}
		if s.applied != 1 {
			t.Errorf("%d results stored, want the one that was complete", s.applied)
		}
	})
}

// crowded is a Looker at hosts that are slow to be silent.
type crowded struct {
	mu             sync.Mutex
	now, most, all int
}

func (c *crowded) enter(by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += by
	c.most = max(c.most, c.now)
	c.all += max(0, by)
}

func (c *crowded) Look(_ context.Context, targets iter.Seq[capture.Target], yield func(capture.Reply)) (capture.Stats, error) {
	c.enter(1)
	defer c.enter(-1)
	time.Sleep(time.Second)
	for t := range targets {
		yield(capture.Reply{Addr: t.Addr, Network: t.Network, Kind: capture.Silent, Reason: "no-response", At: time.Now()})
	}
	return capture.Stats{}, nil
}

// TestLooksAreFew: however many endpoints may only be looked at, few looks run
// at a time, and none is left out.
func TestLooksAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, cfg := found(t, 5)
		c := &crowded{}
		cfg.Watches[0].Looker = c
		runFor(t, cfg, 3*time.Minute, map[time.Duration]func(){
			time.Minute: func() {
				for _, a := range p.all() {
					p.end(a, probes.OutcomeHeld, "print port")
				}
			},
		})
		if c.most != looksAtOnce {
			t.Errorf("%d looks at once, want %d", c.most, looksAtOnce)
		}
		if c.all != 500 || s.applied != 500 {
			t.Errorf("%d looks, %d results, want 500", c.all, s.applied)
		}
	})
}

// TestFingerprintIsTakenOfTheAnswers: while they are there, and not after.
func TestFingerprintIsTakenOfTheAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, cfg := found(t, 1)
		cfg.Fingerprint = func(o *probes.Observation) string {
			return fmt.Sprintf("%%r(%d answers", len(o.Answers))
		}
		runFor(t, cfg, time.Minute, map[time.Duration]func(){
			30 * time.Second: func() {
				for _, a := range p.all() {
					a.done(probes.Observation{Addr: a.ep.Addr, Port: a.ep.Port, Transport: a.ep.Transport,
						State: probes.Open, Outcome: probes.OutcomeAnswered, Strength: probes.Unmatched,
						Answers: make([]probes.Answer, a.ep.Port), At: time.Now()})
				}
			},
		})
		for k, e := range s.endpoints {
			if want := fmt.Sprintf("%%r(%d answers", k.Port); e.Current.Fingerprint != want || e.Current.Answers != nil {
				t.Fatalf("port %d: %q, %d answers kept", k.Port, e.Current.Fingerprint, len(e.Current.Answers))
			}
		}
	})
}

// TestFlightIsSmall holds the figure of the package comment.
func TestFlightIsSmall(t *testing.T) {
	const visits = 10_000
	s := New(Config{Visits: visits, Now: time.Now, Watches: []Watch{{Name: "lan", Visitor: &patient{}}}})
	s.watches["lan"].Visitor.(*patient).asked = make([]*asked, 0, visits)
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := memory()
	for i := range visits {
		k := event.Key{Addr: netip.AddrFrom4([4]byte{127, 0, byte(i >> 8), byte(i)}), Transport: probes.TCP, Port: 22}
		s.startVisit(entryOf(k))
	}
	each := int64(memory()-before) / visits
	t.Logf("%d bytes per visit", each)
	if each > 500 { // the fake's own included
		t.Errorf("a visit under way takes %d bytes", each)
	}
	runtime.KeepAlive(s)
}

func entryOf(k event.Key) schedule.Entry {
	return schedule.Entry{ID: schedule.ID{Key: k}, Watch: "lan", Kind: schedule.Verify}
}
