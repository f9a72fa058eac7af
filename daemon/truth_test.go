package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/config"
	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/probes"
	"sonde/probes/engine"
)

const truthPort = 2222

// settled is how many visits a service that must give no event gets before
// that is believed: one more than confirms a change.
const settled = 4

// TestTruth holds what is told of real services against what they did: the
// whole way from discovery to the outbox, with short times.
func TestTruth(t *testing.T) {
	r := newRig(t)
	stories := map[string]func(*testing.T, *story){
		"new": storyNew, "changed": storyChanged, "gone and returned": storyGone,
		"weaker": storyWeaker, "slow": storySlow, "late": storyLate, "bare close": storyBareClose,
		"restart": storyRestart, "pool": storyPool,
	}
	var list []*story
	names := make([]string, 0, len(stories))
	for name := range stories {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		s := &story{rig: r, at: loopback(100 + i)}
		s.g = newGreeter(t, netip.AddrPortFrom(s.at, truthPort))
		if name != "new" {
			s.g.say(ssh("9.1p1"))
		}
		list = append(list, s)
	}
	r.start(t, len(names))
	r.await(t, "the first look", func() bool { return r.baselined })
	var all sync.WaitGroup // at once on any number of processors: they mostly wait
	for i, name := range names {
		all.Go(func() { t.Run(name, func(t *testing.T) { stories[name](t, list[i]) }) })
	}
	all.Wait()
}

// A told is what one event says, as far as the stories look at it.
type told struct {
	Action            event.Action
	Version, Previous string
	Kind              event.ChangeKind
	Changed           []string
	Reason            string
}

var (
	versionChange = []string{"version", "cpe"}
	baseline      = told{Action: event.ServiceBaseline, Version: "9.1p1"}
)

func storyNew(t *testing.T, s *story) {
	s.g.say(ssh("9.2p1"))
	s.expect(t, told{Action: event.HostNew}, told{Action: event.ServiceNew, Version: "9.2p1"})
	if e := s.events(t, 2)[1]; e.AbsentAt.IsZero() || e.Severity != event.Warning || e.Confirmations != 2 {
		t.Errorf("absent at %v, severity %s, %d confirmations", e.AbsentAt, e.Severity, e.Confirmations)
	}
}

func storyChanged(t *testing.T, s *story) {
	s.g.say(ssh("9.2p1"))
	changed := told{Action: event.ServiceChanged, Version: "9.2p1", Previous: "9.1p1",
		Kind: event.KindVersion, Changed: versionChange}
	s.expect(t, baseline, changed)
	s.g.say("220 (vsFTPd 3.0.3)\r\n")
	other := s.events(t, 3)[2]
	if other.Action != event.ServiceChanged || other.ChangeKind != event.KindService ||
		other.Endpoint.Product != "vsftpd" || other.Previous == nil || other.Previous.Product != "OpenSSH" {
		t.Errorf("told %s: %s", other.Action, other.Message)
	}
}

func storyGone(t *testing.T, s *story) {
	s.g.stop()
	gone := told{Action: event.ServiceGone, Version: "9.1p1", Reason: inventory.ReasonClosed}
	s.expect(t, baseline, gone)
	s.g.say(ssh("9.1p1"))
	same := told{Action: event.ServiceReturned, Version: "9.1p1"}
	s.expect(t, baseline, gone, same)
	s.g.stop()
	s.expect(t, baseline, gone, same, gone)
	s.g.say(ssh("9.5p1"))
	s.expect(t, baseline, gone, same, gone, told{Action: event.ServiceReturned, Version: "9.5p1",
		Previous: "9.1p1", Kind: event.KindVersion, Changed: versionChange})
}

func storyWeaker(t *testing.T, s *story) {
	s.g.say("SSH-2.0-OpenSSH\r\n")
	s.expect(t, baseline, told{Action: event.ServiceUnverified, Previous: "9.1p1",
		Reason: inventory.ReasonWeaker})
	s.g.say(ssh("9.1p1")) // what it was: no news
	s.quiet(t, 2)
}

// storySlow: an answer in two parts with more than the settle time between
// them says less than before, and nothing else.
func storySlow(t *testing.T, s *story) {
	s.g.sayParts(func(int) ([]string, time.Duration) {
		return []string{"SSH-2.0-Op", "enSSH_9.1p1\r\n"}, 700 * time.Millisecond
	})
	s.quiet(t, 1)
}

// storyLate: a greeting that comes when other probes were sent already.
func storyLate(t *testing.T, s *story) {
	s.g.sayParts(func(int) ([]string, time.Duration) {
		return []string{"", ssh("9.1p1")}, 900 * time.Millisecond
	})
	s.quiet(t, 1)
}

// storyBareClose: where a banner is known, a bare close is a host that refuses
// us, not another service.
func storyBareClose(t *testing.T, s *story) {
	s.g.sayParts(func(int) ([]string, time.Duration) { return nil, 0 })
	s.quiet(t, 1)
}

// storyRestart: refused for less than closed_after, and then as before.
func storyRestart(t *testing.T, s *story) {
	s.g.stop()
	s.rig.poll(t, "a refused visit", func() bool { return s.endpoint(t).Closed.Count > 0 })
	s.g.say(ssh("9.1p1"))
	s.quiet(t, 1)
	if e := s.endpoint(t); e.Closed.Count != 0 || e.Status != inventory.Present {
		t.Errorf("%d refusals counted, status %s", e.Closed.Count, e.Status)
	}
}

// storyPool: once both versions behind an address are known, neither is news.
func storyPool(t *testing.T, s *story) {
	s.g.say(ssh("9.2p1"))
	changed := told{Action: event.ServiceChanged, Version: "9.2p1", Previous: "9.1p1",
		Kind: event.KindVersion, Changed: versionChange}
	s.expect(t, baseline, changed)
	s.g.say(ssh("9.1p1"))
	s.quiet(t, 2)
	s.g.say(ssh("9.2p1"))
	s.quiet(t, 2)
	s.g.sayParts(func(n int) ([]string, time.Duration) {
		return []string{ssh(fmt.Sprintf("9.%dp1", 1+mixed(n)%2))}, 0
	})
	s.quiet(t, 2)
	if n := len(s.endpoint(t).Others); n != 1 {
		t.Errorf("%d further identities, want 1", n)
	}
}

// mixed makes an order of connections that sweeps and visits do not fall in
// step with.
func mixed(n int) int { return int(uint32(n) * 2654435761 >> 16) }

// A story is one service and what is told of it.
type story struct {
	rig *rig
	at  netip.Addr
	g   *greeter
}

// events waits until at least n events are told of the service.
func (s *story) events(t *testing.T, n int) []event.Event {
	t.Helper()
	s.rig.await(t, fmt.Sprintf("event %d of %s", n, s.at), func() bool { return len(s.rig.byAddr[s.at]) >= n })
	s.rig.mu.Lock()
	defer s.rig.mu.Unlock()
	return slices.Clone(s.rig.byAddr[s.at])
}

// expect waits for so many events, and compares them all.
func (s *story) expect(t *testing.T, want ...told) {
	t.Helper()
	var got []told
	for _, e := range s.events(t, len(want)) {
		one := told{Action: e.Action, Version: e.Endpoint.Version, Kind: e.ChangeKind,
			Changed: e.Changed, Reason: e.Reason}
		if e.Previous != nil {
			one.Previous = e.Previous.Version
		}
		got = append(got, one)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("told (-want +got):\n%s", d)
	}
}

// quiet waits for more visits, and for no more events than n.
func (s *story) quiet(t *testing.T, n int) {
	t.Helper()
	last, visits := s.endpoint(t).LastVisited, 0
	s.rig.poll(t, "more visits", func() bool {
		if at := s.endpoint(t).LastVisited; !at.Equal(last) {
			last = at
			visits++
		}
		return visits > settled // the first had begun before
	})
	if got := s.events(t, n); len(got) != n {
		for _, e := range got {
			t.Logf("%s: %s", e.Action, e.Message)
		}
		t.Errorf("%d events, want %d", len(got), n)
	}
}

func (s *story) endpoint(t *testing.T) inventory.Endpoint {
	t.Helper()
	for e, err := range s.rig.store.Endpoints(t.Context(), inventory.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Key.Addr == s.at {
			return e
		}
	}
	t.Fatalf("%s is not in the inventory", s.at)
	return inventory.Endpoint{}
}

// A rig is the daemon's own parts over a store, without a process.
type rig struct {
	store *inventory.Store

	mu        sync.Mutex
	news      *sync.Cond // of what follows
	byAddr    map[netip.Addr][]event.Event
	baselined bool
	after     int64
}

func newRig(t *testing.T) *rig {
	r := &rig{byAddr: map[netip.Addr][]event.Event{}}
	r.news = sync.NewCond(&r.mu)
	return r
}

// start watches n addresses from 100 on until the test ends.
func (r *rig) start(t *testing.T, n int) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sonde.toml")
	text := fmt.Sprintf(`
[sensor]
state_dir = %q
[[watch]]
name = "truth"
targets = ["%s-%d"]
tcp_ports = "%d"
udp_ports = ""
best_effort = true
[confirm]
new_visits = 2
new_spacing = "100ms"
changed_visits = 3
changed_over = "300ms"
closed_visits = 3
closed_after = "800ms"
`, dir, loopback(100), 100+n-1, truthPort)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Resolve("truth", dir, "")
	cfg.Watches[0].DiscoverEvery = 300 * time.Millisecond // shorter than a file may say
	cfg.Watches[0].VerifyEvery = 200 * time.Millisecond
	builtin, err := probes.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	db, err := probes.Load(builtin...)
	if err != nil {
		t.Fatal(err)
	}
	all, perWatch := rulesOf(cfg)
	r.store, err = inventory.Open(t.Context(), inventory.Config{Dir: dir, Rules: all, Watches: perWatch})
	if err != nil {
		t.Fatal(err)
	}
	conversations, err := engine.New(engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	work, err := newSensor(cfg, db, r.store, machine{loops: conversations.Loops(), net: &network{outages: newOutages(nil)}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { r.follow(ctx, t) })
	wg.Go(func() {
		if err := work.sensor.Run(ctx, func() {}); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if err := work.close(); err != nil {
			t.Error(err)
		}
		conversations.Close()
		if err := r.store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// follow reads the outbox as a sink does.
func (r *rig) follow(ctx context.Context, t *testing.T) {
	wake := r.store.Wake()
	for {
		rows, err := r.store.Events(context.WithoutCancel(ctx), r.after, 1000)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		for _, row := range rows {
			var e event.Event
			if err := json.Unmarshal(row.JSON, &e); err != nil {
				t.Error(err)
			}
			r.after = e.Seq
			r.baselined = r.baselined || e.Action == event.WatchBaselined
			if e.Endpoint != nil {
				r.byAddr[e.Endpoint.Addr] = append(r.byAddr[e.Endpoint.Addr], e)
			}
		}
		r.news.Broadcast()
		r.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return
		}
	}
}

// toldSoon is how long anything may take on a busy machine.
const toldSoon = 30 * time.Second

// await waits for events; done is called with the lock held.
func (r *rig) await(t *testing.T, what string, done func() bool) {
	t.Helper()
	late := false
	timer := time.AfterFunc(toldSoon, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		late = true
		r.news.Broadcast()
	})
	defer timer.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !done() && !late {
		r.news.Wait()
	}
	if !done() {
		t.Fatalf("%s: not within %v", what, toldSoon)
	}
}

// poll waits for what gives no event.
func (r *rig) poll(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(toldSoon); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, toldSoon)
		}
	}
}
