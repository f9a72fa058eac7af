package scan

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"sonde/capture"
	"sonde/daemon/internal/report"
	"sonde/probes"
	"sonde/probes/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// once has the one sweep of a Sweeper that does not look at it.
var once = make([]capture.Plan, 1)

// replies is a Sweeper that yields what it holds, a millisecond apart, and
// ends with the context or with its error.
type replies struct {
	list    []capture.Reply
	stats   capture.Stats
	err     error
	yielded atomic.Int64
}

func (r *replies) Sweep(ctx context.Context, _ capture.Plan, yield func(capture.Reply)) (capture.Stats, error) {
	for _, reply := range r.list {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return r.stats, fmt.Errorf("sweep: %w", ctx.Err())
		}
		yield(reply)
		r.yielded.Add(1)
	}
	return r.stats, r.err
}

func reply(addr string, port int, network string, k capture.Kind, reason string) capture.Reply {
	return capture.Reply{Addr: netip.AddrPortFrom(netip.MustParseAddr(addr), uint16(port)),
		Network: network, Kind: k, Reason: reason}
}

func openPorts(n int) (list []capture.Reply) {
	for p := range n {
		list = append(list, reply("127.0.0.1", p+1, "tcp", capture.Accepted, "syn-ack"))
	}
	return list
}

// visitor answers after the time that take gives for a port, with answer's
// observation, and counts how many conversations there are at once.
type visitor struct {
	take   func(port uint16) time.Duration
	answer func(ep probes.Endpoint) probes.Observation

	mu        sync.Mutex
	now, most int
	asked     []probes.Endpoint
}

func (v *visitor) Begin(ep probes.Endpoint, _ session.Remembered, done func(probes.Observation)) func(error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() { done(v.visit(ctx, ep)) }()
	return cancel
}

func (v *visitor) visit(ctx context.Context, ep probes.Endpoint) probes.Observation {
	v.mu.Lock()
	v.now++
	v.most = max(v.most, v.now)
	v.asked = append(v.asked, ep)
	v.mu.Unlock()
	defer func() { v.mu.Lock(); v.now--; v.mu.Unlock() }()
	o := probes.Observation{Addr: ep.Addr, Port: ep.Port, Transport: ep.Transport}
	select {
	case <-time.After(v.take(ep.Port)):
	case <-ctx.Done():
		o.Outcome = probes.OutcomeInconclusive
		return o
	}
	if v.answer != nil {
		a := v.answer(ep)
		a.Addr, a.Port, a.Transport = ep.Addr, ep.Port, ep.Transport
		return a
	}
	o.State, o.Outcome = probes.Open, probes.OutcomeAnswered
	return o
}

func always(d time.Duration) func(uint16) time.Duration {
	return func(uint16) time.Duration { return d }
}

func TestDiscoveryWaitsForVisits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &replies{list: openPorts(20)}
		v := &visitor{take: always(time.Hour)}
		var progress Progress
		done := make(chan struct{})
		go func() {
			defer close(done)
			res, err := Run(t.Context(), Plan{Sweeps: once, Visits: 3, Sweeper: s, Visitor: v}, &progress)
			if err != nil || res.Open != 20 {
				t.Errorf("%d open, %v", res.Open, err)
			}
		}()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := s.yielded.Load(); n != 3 {
			t.Errorf("%d replies taken while 3 visits run, want 3", n)
		}
		if a, o, n := progress.Asked.Load(), progress.Open.Load(), progress.Visits.Load(); a != 4 || o != 4 || n != 0 {
			t.Errorf("progress: %d asked, %d open, %d identified, want 4, 4, 0", a, o, n)
		}
		<-done
		if v.most != 3 {
			t.Errorf("%d visits at once, want 3", v.most)
		}
		if n := progress.Visits.Load(); n != 20 {
			t.Errorf("%d identified, want 20", n)
		}
	})
}

func TestNoVisitsMeansOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &visitor{take: always(time.Second)}
		res, err := Run(t.Context(), Plan{Sweeps: once, Sweeper: &replies{list: openPorts(3)}, Visitor: v}, &Progress{})
		if err != nil || res.Open != 3 || v.most != 1 {
			t.Errorf("%d open with %d at once, %v", res.Open, v.most, err)
		}
	})
}

// TestContextEnd: what is open is in the result though nobody could ask it.
func TestContextEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s := &replies{list: openPorts(10)}
		v := &visitor{take: func(port uint16) time.Duration {
			if port <= 2 {
				return time.Second
			}
			return time.Hour
		}}
		var found []uint16
		begun := time.Now()
		res, err := Run(ctx, Plan{Sweeps: once, Visits: 2, Sweeper: s, Visitor: v,
			Found: func(o probes.Observation) { found = append(found, o.Port) }}, &Progress{})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(begun); took != time.Minute {
			t.Errorf("ended after %v, want a minute", took)
		}
		slices.Sort(found)
		if !slices.Equal(found, []uint16{1, 2}) {
			t.Errorf("found %v, want what was identified", found)
		}
		var open []uint16
		for _, o := range res.Hosts[0].Ports {
			if o.State != probes.Open || o.Reason != "" && o.Reason != "syn-ack" {
				t.Errorf("port %d is %s, %s", o.Port, o.State, o.Reason)
			}
			open = append(open, o.Port)
		}
		// Two were identified, two are being asked, one waits for its turn.
		if !slices.Equal(open, []uint16{1, 2, 3, 4, 5}) {
			t.Errorf("open %v, want all that discovery saw", open)
		}
	})
}

func TestSweepErrorKeepsWhatWasFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("interface lost")
		s := &replies{list: openPorts(2), err: broken, stats: capture.Stats{Degraded: true}}
		res, err := Run(t.Context(), Plan{Sweeps: once, Visits: 2, Sweeper: s,
			Visitor: &visitor{take: always(time.Second)}}, &Progress{})
		if !errors.Is(err, broken) || !res.Degraded || res.Open != 2 {
			t.Errorf("%d open, degraded %v, %v", res.Open, res.Degraded, err)
		}
	})
}

func TestResultIsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &replies{list: []capture.Reply{
			reply("127.0.0.9", 80, "tcp", capture.Accepted, "syn-ack"),
			reply("127.0.0.2", 53, "udp", capture.Answered, "udp-response"),
			reply("127.0.0.2", 443, "tcp", capture.Accepted, "syn-ack"),
			reply("127.0.0.2", 22, "tcp", capture.Accepted, "syn-ack"),
			reply("127.0.0.10", 22, "tcp", capture.Refused, "conn-refused"),
			reply("127.0.0.3", 22, "tcp", capture.Silent, "no-response"),
			reply("127.0.0.4", 22, "tcp", capture.Unreachable, "no route to host"),
		}}
		// The last found is the first identified.
		v := &visitor{take: func(port uint16) time.Duration { return time.Duration(port) * time.Second }}
		names := func(a netip.Addr) []string { return []string{"host-" + a.String()} }
		res, err := Run(t.Context(), Plan{Sweeps: once, Visits: 9, Sweeper: s, Visitor: v, Names: names}, &Progress{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, h := range res.Hosts {
			line := h.Addr.String() + " " + h.Names[0]
			for _, o := range h.Ports {
				line += fmt.Sprintf(" %d/%s", o.Port, o.Transport)
			}
			got = append(got, line)
		}
		want := []string{"127.0.0.2 host-127.0.0.2 22/tcp 443/tcp 53/udp",
			"127.0.0.9 host-127.0.0.9 80/tcp", "127.0.0.10 host-127.0.0.10"}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("hosts:\n%s", d)
		}
		if res.Up != 3 || res.Open != 4 {
			t.Errorf("%d up and %d open, want 3 and 4", res.Up, res.Open)
		}
		if v.asked[0].Names == nil {
			t.Error("the visit does not know the host's names")
		}
	})
}

func TestHiddenCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &replies{}
		add := func(n int, network string, k capture.Kind, reason string) {
			for range n {
				s.list = append(s.list, reply("127.0.0.1", len(s.list)+1, network, k, reason))
			}
		}
		add(3, "tcp", capture.Refused, "conn-refused")
		add(2, "tcp", capture.Silent, "no-response")
		add(2, "tcp", capture.Unreachable, "admin-prohibited")
		add(5, "udp", capture.Silent, "no-response")
		add(1, "udp", capture.Refused, "port-unreach")
		add(1, "tcp", capture.Accepted, "syn-ack")
		want := []report.Hidden{
			{Count: 5, State: probes.OpenOrFiltered, Transport: probes.UDP, Reason: "no-response"},
			{Count: 3, State: probes.Closed, Transport: probes.TCP, Reason: "conn-refused"},
			{Count: 2, State: probes.Filtered, Transport: probes.TCP, Reason: "admin-prohibited"},
			{Count: 2, State: probes.Filtered, Transport: probes.TCP, Reason: "no-response"},
			{Count: 1, State: probes.Closed, Transport: probes.UDP, Reason: "port-unreach"},
		}
		for range 20 { // maps have no order, the result has
			res, err := Run(t.Context(), Plan{Sweeps: once, Visits: 1, Sweeper: s,
				Visitor: &visitor{take: always(0)}}, &Progress{})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, res.Hosts[0].Hidden); d != "" {
				t.Fatalf("hidden:\n%s", d)
			}
		}
	})
}

// What a sweep asked and does not tell of is silent, on the hosts that are up.
func TestSilentPortsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tcp := capture.Plan{Network: capture.TCP, Ports: []uint16{1, 2, 3, 4, 5}}
		list := []capture.Reply{
			reply("10.0.0.1", 1, "tcp", capture.Refused, "reset"),
			reply("10.0.0.1", 2, "tcp", capture.Silent, "no-response"),
			reply("10.0.0.2", 1, "tcp", capture.Unreachable, "host-unreach"),
		}
		for _, tt := range []struct {
			name  string
			sweep *replies
			want  []report.Hidden
		}{
			{"all asked", &replies{list: list, stats: capture.Stats{Targets: 15}}, []report.Hidden{
				{Count: 4, Transport: probes.TCP, State: probes.Filtered, Reason: "no-response"},
				{Count: 1, Transport: probes.TCP, State: probes.Closed, Reason: "reset"}}},
			{"not all asked", &replies{list: list, stats: capture.Stats{Targets: 15, Degraded: true}}, []report.Hidden{
				{Count: 1, Transport: probes.TCP, State: probes.Closed, Reason: "reset"},
				{Count: 1, Transport: probes.TCP, State: probes.Filtered, Reason: "no-response"}}},
		} {
			progress := &Progress{}
			res, err := Run(t.Context(), Plan{Sweeps: []capture.Plan{tcp}, Visits: 1, Sweeper: tt.sweep}, progress)
			if err != nil || len(res.Hosts) != 1 {
				t.Fatalf("%s: %d hosts, %v", tt.name, len(res.Hosts), err)
			}
			if diff := cmp.Diff(tt.want, res.Hosts[0].Hidden); diff != "" {
				t.Errorf("%s: (-want +got)\n%s", tt.name, diff)
			}
			if n := progress.Asked.Load(); n != 15 {
				t.Errorf("%s: %d ports asked, want 15", tt.name, n)
			}
		}
	})
}

// TestOpenStaysOpen: what discovery saw open is listed as open, whatever the
// conversation came to.
func TestOpenStaysOpen(t *testing.T) {
	for _, c := range []struct {
		network string
		kind    capture.Kind
		reason  string
		visit   probes.Observation
	}{
		{"tcp", capture.Accepted, "syn-ack",
			probes.Observation{State: probes.Open, Reason: "syn-ack", Outcome: probes.OutcomeSilent}},
		{"tcp", capture.Accepted, "syn-ack",
			probes.Observation{State: probes.Closed, Reason: "conn-refused", Outcome: probes.OutcomeRefused}},
		{"tcp", capture.Accepted, "syn-ack",
			probes.Observation{Outcome: probes.OutcomeHeld, Reason: "print port"}},
		{"udp", capture.Answered, "udp-response",
			probes.Observation{State: probes.OpenOrFiltered, Reason: "no-response", Outcome: probes.OutcomeSilent}},
	} {
		t.Run(fmt.Sprintf("%s %s", c.network, c.visit.Outcome), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &replies{list: []capture.Reply{reply("127.0.0.1", 9100, c.network, c.kind, c.reason)}}
				v := &visitor{take: always(0), answer: func(probes.Endpoint) probes.Observation { return c.visit }}
				var found probes.Observation
				res, err := Run(t.Context(), Plan{Sweeps: once, Visits: 1, Sweeper: s, Visitor: v,
					Found: func(o probes.Observation) { found = o }}, &Progress{})
				if err != nil || len(res.Hosts) != 1 || len(res.Hosts[0].Ports) != 1 {
					t.Fatalf("result %+v, %v", res, err)
				}
				got := res.Hosts[0].Ports[0]
				if got.State != probes.Open || got.Reason != c.reason || got.Outcome != c.visit.Outcome {
					t.Errorf("listed as %s (%s), outcome %s", got.State, got.Reason, got.Outcome)
				}
				if d := cmp.Diff(got, found, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
					t.Errorf("told otherwise than listed:\n%s", d)
				}
			})
		})
	}
}

func TestFoundIsCalledByOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inside, calls := false, 0
		_, err := Run(t.Context(), Plan{Sweeps: once, Visits: 50, Sweeper: &replies{list: openPorts(50)},
			Visitor: &visitor{take: func(p uint16) time.Duration { return time.Second - time.Duration(p)*time.Millisecond }},
			Found: func(probes.Observation) {
				if inside {
					t.Error("called while another call lasts")
				}
				inside = true
				for range 20 {
					runtime.Gosched() // let another in, if one may
				}
				inside = false
				calls++
			}}, &Progress{})
		if err != nil || calls != 50 {
			t.Errorf("%d calls, %v", calls, err)
		}
	})
}

// TestNoGoroutinePerVisit: 10,000 conversations that wait cost a scan no more
// goroutines than one.
func TestNoGoroutinePerVisit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const visits = 10_000
		var list []capture.Reply
		for i := range visits {
			list = append(list, reply(fmt.Sprintf("127.0.%d.%d", i>>8, i&255), 22, "tcp", capture.Accepted, "syn-ack"))
		}
		var waiting waitingRoom
		idle := runtime.NumGoroutine()
		ended := make(chan Result, 1)
		go func() {
			res, err := Run(t.Context(), Plan{Sweeps: once, Visits: visits, Sweeper: &replies{list: list},
				Visitor: &waiting}, &Progress{})
			if err != nil {
				t.Error(err)
			}
			ended <- res
		}()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := runtime.NumGoroutine() - idle; len(waiting) != visits || n > 3 {
			t.Errorf("%d goroutines for %d conversations", n, len(waiting))
		}
		for _, done := range waiting {
			done()
		}
		if res := <-ended; res.Open != visits {
			t.Errorf("%d open, want %d", res.Open, visits)
		}
	})
}

// A waitingRoom is a Visitor whose visits end when they are called.
type waitingRoom []func()

func (w *waitingRoom) Begin(ep probes.Endpoint, _ session.Remembered, done func(probes.Observation)) func(error) {
	*w = append(*w, func() {
		done(probes.Observation{Addr: ep.Addr, Port: ep.Port, Transport: ep.Transport, State: probes.Open})
	})
	return func(error) {}
}

// TestEndCutsVisitsShort: the end of the context ends the conversations, those
// too that begin in that moment, and Run waits for all of them.
func TestEndCutsVisitsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		// Whether discovery hands over what it has is left to chance here.
		for range 50 {
			at := &endings{}
			res, err := Run(ctx, Plan{Sweeps: once, Visits: 3, Sweeper: burst(openPorts(5)), Visitor: at,
				Found: func(o probes.Observation) { t.Errorf("port %d told as identified", o.Port) }}, &Progress{})
			if !errors.Is(err, context.Canceled) || res.Open != 5 {
				t.Fatalf("%d open, error %v", res.Open, err)
			}
			if at.begun.Load() != at.ended.Load() {
				t.Fatalf("%d begun, %d ended", at.begun.Load(), at.ended.Load())
			}
		}
	})
}

// burst is a Sweeper that yields all that it holds, whatever the context says.
type burst []capture.Reply

func (b burst) Sweep(_ context.Context, _ capture.Plan, yield func(capture.Reply)) (capture.Stats, error) {
	for _, r := range b {
		yield(r)
	}
	return capture.Stats{}, nil
}

// endings is a Visitor whose visits end a while after they are cancelled, once.
type endings struct{ begun, ended atomic.Int64 }

func (e *endings) Begin(ep probes.Endpoint, _ session.Remembered, done func(probes.Observation)) func(error) {
	e.begun.Add(1)
	var once sync.Once
	return func(reason error) {
		once.Do(func() {
			time.AfterFunc(time.Millisecond, func() {
				e.ended.Add(1)
				done(probes.Observation{Addr: ep.Addr, Port: ep.Port, Transport: ep.Transport,
					Outcome: probes.OutcomeInconclusive, Errors: []string{reason.Error()}})
			})
		})
	}
}

// TestPrinterIsAskedWithCare: once one port says what the host is, all others
// of it are asked anew by who is careful, those too that are found later; what
// has its identity stays, and other hosts go on as before.
func TestPrinterIsAskedWithCare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &replies{}
		for _, a := range []string{"127.0.0.1", "127.0.0.2"} {
			for port := range 3 {
				s.list = append(s.list, reply(a, 80+port, "tcp", capture.Accepted, "syn-ack"))
			}
		}
		s.list = append(s.list, reply("127.0.0.1", 9000, "tcp", capture.Accepted, "syn-ack"))
		says := func(who string) func(probes.Endpoint) probes.Observation {
			return func(ep probes.Endpoint) probes.Observation {
				o := probes.Observation{State: probes.Open, Outcome: probes.OutcomeAnswered, Reason: who,
					Strength: probes.Unmatched}
				if ep.Port == 80 && ep.Addr == netip.MustParseAddr("127.0.0.1") {
					o.Strength, o.Device = probes.Hard, "printer"
				}
				return o
			}
		}
		usual := &visitor{answer: says("usual"), take: func(port uint16) time.Duration {
			return time.Duration(port-79) * 2 * time.Millisecond
		}}
		careful := &visitor{answer: says("careful"), take: always(time.Second)}
		var told []netip.Addr
		var found []string
		res, err := Run(t.Context(), Plan{Sweeps: once, Visits: 20, Sweeper: s, Visitor: usual, Careful: careful,
			CarefulHost: func(a netip.Addr) { told = append(told, a) },
			Found: func(o probes.Observation) {
				found = append(found, fmt.Sprintf("%s:%d %s", o.Addr, o.Port, o.Reason))
			}}, &Progress{})
		if err != nil || res.Open != 7 {
			t.Fatalf("%d open, %v", res.Open, err)
		}
		slices.Sort(found)
		want := []string{"127.0.0.1:80 usual", "127.0.0.1:81 careful", "127.0.0.1:82 careful",
			"127.0.0.1:9000 careful", "127.0.0.2:80 usual", "127.0.0.2:81 usual", "127.0.0.2:82 usual"}
		if d := cmp.Diff(want, found); d != "" {
			t.Errorf("found:\n%s", d)
		}
		if len(told) != 1 || told[0] != netip.MustParseAddr("127.0.0.1") {
			t.Errorf("told of %v", told)
		}
		if len(careful.asked) != 3 {
			t.Errorf("%d asked with care", len(careful.asked))
		}
	})
}
