package inventory

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"sonde/daemon/internal/event"
	"sonde/match"
	"sonde/probes"
)

func TestMain(m *testing.M) {
	if child := os.Getenv(childVariable); child != "" {
		runChild(child)
		return
	}
	goleak.VerifyTestMain(m)
}

// A testClock is moved by hand.
type testClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *testClock) add(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
	return c.at
}

func newClock() *testClock { return &testClock{at: day1.Add(8 * time.Hour)} }

func openStore(t testing.TB, dir string, c *testClock) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Dir: dir, Sensor: "probe-1", Version: "1.0", Now: c.now,
		Rand: bytes.NewReader(bytes.Repeat([]byte{7}, 64))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func visitOf(addr string, port uint16, at time.Time, product, version string) Visit {
	return Visit{
		Key: event.Key{Zone: "default", Addr: netip.MustParseAddr(addr),
			Transport: probes.TCP, Port: port},
		Watch: "lan", Method: "connect", At: at,
		Observation: probes.Observation{
			State: probes.Open, Reason: "syn-ack", Outcome: probes.OutcomeAnswered,
			Strength: probes.Hard, Probe: "NULL", Rule: "x.probes:7", Database: "d1",
			Identity: match.Identity{Service: "ssh", Product: product, Version: version,
				CPE: []string{"cpe:/a:x:" + product + ":" + version}},
			Evidence: &probes.Evidence{Probe: "NULL", Rule: "x.probes:7", Database: "d1",
				Answer: probes.Bytes("SSH-2.0-" + product + "_" + version + "\r\n")},
		},
	}
}

func refusal(v Visit, at time.Time) Visit {
	v.At = at
	v.Observation = probes.Observation{State: probes.Closed, Outcome: probes.OutcomeRefused,
		Reason: "conn-refused"}
	return v
}

func lanPass(started time.Time) Pass {
	return Pass{Watch: "lan", Zone: "default", Method: "connect",
		Targets: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		Exclude: []netip.Prefix{netip.MustParsePrefix("192.0.2.66/32")},
		Ports:   "22,8000-8100", Started: started, Done: started.Add(time.Minute)}
}

func mustApply(t testing.TB, s *Store, visits ...Visit) []Standing {
	t.Helper()
	next, err := s.Apply(t.Context(), visits)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func allEvents(t testing.TB, r *Reader) []event.Event {
	t.Helper()
	rows, err := r.Events(t.Context(), 0, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]event.Event, len(rows))
	for i, row := range rows {
		if err := json.Unmarshal(row.JSON, &out[i]); err != nil {
			t.Fatalf("event %d: %v", row.Seq, err)
		}
		if row.Seq != out[i].Seq || row.Action != out[i].Action {
			t.Errorf("row %d %s holds event %d %s", row.Seq, row.Action, out[i].Seq, out[i].Action)
		}
	}
	return out
}

func actions(events []event.Event) (out []string) {
	for _, e := range events {
		out = append(out, string(e.Action))
	}
	return out
}

func endpoints(t testing.TB, r *Reader, f Filter) (out []Endpoint) {
	t.Helper()
	for e, err := range r.Endpoints(t.Context(), f) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

func wantActions(t *testing.T, r *Reader, want ...string) []event.Event {
	t.Helper()
	events := allEvents(t, r)
	if diff := cmp.Diff(want, actions(events)); diff != "" {
		t.Fatalf("events (-want +got):\n%s", diff)
	}
	return events
}

func TestBaselineThenNew(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	pass := lanPass(c.now())
	if err := s.PassStarted(t.Context(), pass); err != nil {
		t.Fatal(err)
	}
	mustApply(t, s, visitOf("192.0.2.1", 22, c.add(time.Second), "OpenSSH", "9.2"))
	pass.Done = c.add(time.Minute)
	for range 2 { // the second pass of a scope is no news
		if err := s.PassDone(t.Context(), pass); err != nil {
			t.Fatal(err)
		}
	}
	at := c.add(time.Hour)
	next := mustApply(t, s,
		visitOf("192.0.2.2", 22, at, "Dropbear", "2022"),  // in the scope
		visitOf("192.0.2.2", 80, at, "nginx", "1"),        // port not in the scope
		visitOf("192.0.2.66", 22, at, "OpenSSH", "9.2"),   // excluded
		visitOf("198.51.100.1", 22, at, "OpenSSH", "9.2"), // not a target
	)
	if next[0].Next.At != at.Add(time.Second) || next[0].Next.Why != ConfirmNew || next[1].Next != (Next{}) {
		t.Errorf("next: %v", next)
	}
	mustApply(t, s, visitOf("192.0.2.2", 22, c.add(time.Second), "Dropbear", "2022"))
	events := wantActions(t, s.Reader, "service.baseline", "watch.baselined", "service.baseline",
		"service.baseline", "service.baseline", "service.new")
	if want := map[string]int{"endpoints": 1, "hosts": 1, "service.ssh": 1}; !cmp.Equal(events[1].Counts, want) {
		t.Errorf("counts %v, want %v", events[1].Counts, want)
	}
	fresh := events[5]
	if !fresh.AbsentAt.Equal(pass.Started) || fresh.Endpoint.Product != "Dropbear" {
		t.Errorf("new: absent at %s, %v", fresh.AbsentAt, fresh.Endpoint)
	}
	for i, e := range events {
		if e.Seq != int64(i+1) || e.Epoch != s.Epoch() || e.Schema != event.Schema ||
			e.ID != event.ID(s.Sensor().UUID, s.Epoch(), e.Seq) || e.Sensor != s.Sensor() ||
			e.Timestamp.IsZero() || e.Message == "" {
			t.Errorf("event %d is not signed rightly: %+v", i, e)
		}
	}
}

func TestDegradedPassProvesNothing(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	pass := lanPass(c.now())
	pass.Degraded = true
	if err := s.PassDone(t.Context(), pass); err != nil {
		t.Fatal(err)
	}
	mustApply(t, s, visitOf("192.0.2.1", 22, c.add(time.Hour), "OpenSSH", "9.2"))
	wantActions(t, s.Reader, "service.baseline")
}

func TestOtherMethodIsBaseline(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	udp := lanPass(c.now())
	udp.Method, udp.Ports = "udp:aaaa", "161"
	for _, p := range []Pass{lanPass(c.now()), udp} {
		if err := s.PassDone(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	raw := visitOf("192.0.2.1", 22, c.add(time.Hour), "OpenSSH", "9.2")
	raw.Method = "syn"
	snmp := visitOf("192.0.2.1", 161, c.now(), "Net-SNMP", "5.9")
	snmp.Key.Transport, snmp.Method = probes.UDP, "udp:bbbb"
	mustApply(t, s, raw, snmp)
	events := wantActions(t, s.Reader, "watch.baselined", "watch.baselined",
		"service.baseline", "service.baseline")
	if events[2].Cause != event.CauseConfig || events[3].Cause != event.CauseDatabase {
		t.Errorf("causes %s and %s", events[2].Cause, events[3].Cause)
	}
}

// TestEverythingSurvivesReopening compares what is decided from the tables
// with what the pure function would decide from memory.
func TestEverythingSurvivesReopening(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	s := openStore(t, dir, c)
	key := visitOf("192.0.2.1", 22, c.now(), "OpenSSH", "9.2")
	visits := []Visit{key}
	for i, version := range []string{"9.3", "9.3", "9.3", "", "9.4", "9.5", "", "9.5"} {
		v := visitOf("192.0.2.1", 22, c.add(40*time.Second), "OpenSSH", version)
		v.Observation.TLS = []probes.TLSFacts{{Name: "a", Certificate: &probes.Certificate{
			SHA256: strings.Repeat("ab", 32), NotAfter: day1.AddDate(0, i, 0)}}}
		v.Observation.Asked = []string{"NULL", "GetRequest"}
		if version == "" {
			v = refusal(key, v.At)
		}
		visits = append(visits, v)
	}
	var memory *Endpoint
	for i, v := range visits {
		mustApply(t, s, v)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, dir, c)
		v.HostAlive = v.At
		now, _ := Decide(memory, v, DefaultRules())
		memory = &now
		got := endpoints(t, s.Reader, Filter{})
		if len(got) != 1 {
			t.Fatalf("visit %d: %d endpoints", i, len(got))
		}
		diff := cmp.Diff(*memory, got[0], cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}),
			cmpopts.EquateApproxTime(0), cmp.FilterPath(func(p cmp.Path) bool {
				s := p.String()
				return s == "Pending.Candidate.Evidence" || s == "Pending.Candidate.Asked"
			}, cmp.Ignore()))
		if diff != "" {
			t.Fatalf("visit %d: memory and tables differ (-memory +tables):\n%s", i, diff)
		}
	}
	if len(memory.Others) == 0 || memory.Pending == nil {
		t.Errorf("the visits did not reach an interesting state: %+v", memory)
	}
}

func TestRecordTellsHowTheLastRunEnded(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	started := event.Event{Action: event.SensorStarted, Message: "started"}
	s := openStore(t, dir, c)
	if err := s.Record(t.Context(), started); err != nil {
		t.Fatal(err)
	}
	c.add(time.Minute)
	if err := s.Alive(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Close()
	c.add(90 * time.Second)
	s = openStore(t, dir, c)
	if err := s.Record(t.Context(), started); err != nil {
		t.Fatal(err)
	}
	events := wantActions(t, s.Reader, "sensor.started", "sensor.started")
	if events[0].PreviousEnd != "first" || events[0].GapSeconds != 0 {
		t.Errorf("first start: %q after %d s", events[0].PreviousEnd, events[0].GapSeconds)
	}
	if events[1].PreviousEnd != "clean" || events[1].GapSeconds != 90 {
		t.Errorf("second start: %q after %d s", events[1].PreviousEnd, events[1].GapSeconds)
	}
	if events[0].Sensor.UUID != events[1].Sensor.UUID || events[0].Epoch != events[1].Epoch {
		t.Error("the sensor is another one after a restart")
	}
}

func TestRetireWatch(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	mustApply(t, s, visitOf("192.0.2.1", 22, c.now(), "OpenSSH", "9.2"))
	if err := s.PassDone(t.Context(), lanPass(c.now())); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.RetireWatch(t.Context(), "lan"); err != nil {
			t.Fatal(err)
		}
	}
	if got := endpoints(t, s.Reader, Filter{}); len(got) != 0 {
		t.Errorf("%d endpoints are still watched", len(got))
	}
	if got := endpoints(t, s.Reader, Filter{Retired: true}); len(got) != 1 || !got[0].Retired {
		t.Errorf("kept: %v", got)
	}
	// Back again, with another version: a first look, no news.
	mustApply(t, s, visitOf("192.0.2.1", 22, c.add(time.Hour), "OpenSSH", "9.9"))
	mustApply(t, s, visitOf("192.0.2.2", 22, c.now(), "OpenSSH", "9.9"))
	wantActions(t, s.Reader, "service.baseline", "watch.baselined", "watch.retired",
		"service.baseline", "service.baseline")
	if names, err := s.Watches(t.Context()); err != nil || !cmp.Equal(names, []string{"lan"}) {
		t.Errorf("watches %v, %v", names, err)
	}
}

func TestFilter(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	a := visitOf("192.0.2.1", 22, c.now(), "OpenSSH", "9.2")
	b := visitOf("192.0.2.2", 22, c.now(), "Dropbear", "2022")
	b.Watch = "dmz"
	mustApply(t, s, a, b)
	for range 3 {
		mustApply(t, s, refusal(a, c.add(150*time.Second)))
	}
	for _, f := range []struct {
		filter Filter
		want   string
	}{
		{Filter{}, "OpenSSH Dropbear"},
		{Filter{Watch: "dmz"}, "Dropbear"},
		{Filter{Product: "OpenSSH"}, "OpenSSH"},
		{Filter{Service: "http"}, ""},
		{Filter{Status: []Status{Present}}, "Dropbear"},
		{Filter{Status: []Status{Gone, Candidate}, Brief: true}, "OpenSSH"},
	} {
		var got []string
		for _, e := range endpoints(t, s.Reader, f.filter) {
			got = append(got, e.Current.Product)
			if (e.Current.Evidence == nil) != f.filter.Brief {
				t.Errorf("%+v: evidence %v", f.filter, e.Current.Evidence)
			}
		}
		if strings.Join(got, " ") != f.want {
			t.Errorf("%+v: %v, want %s", f.filter, got, f.want)
		}
	}
	for range s.Endpoints(t.Context(), Filter{}) {
		break // must not leave a connection behind; goleak and Close would tell
	}
}

func TestFailedBatchLeavesNothing(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	good := visitOf("192.0.2.1", 22, c.now(), "OpenSSH", "9.2")
	bad := good
	bad.Key.Addr = netip.Addr{}
	if _, err := s.Apply(t.Context(), []Visit{good, bad}); err == nil {
		t.Fatal("a visit without an address was applied")
	}
	wantActions(t, s.Reader)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Apply(ended, []Visit{good}); !errors.Is(err, context.Canceled) {
		t.Errorf("apply after the end: %v", err)
	}
	mustApply(t, s, good)
	if e := wantActions(t, s.Reader, "service.baseline"); e[0].Seq != 1 {
		t.Errorf("seq %d after failed batches, want 1", e[0].Seq)
	}
	s.Close()
	if _, err := s.Apply(t.Context(), []Visit{good}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("apply after Close: %v", err)
	}
}

// TestPassByPacketsCoversUDP: a sweep of UDP by packets of our own proves as much
// as one by sockets does.
func TestPassByPacketsCoversUDP(t *testing.T) {
	for _, method := range []string{"udp:aaaa", "raw-udp:aaaa", "raw-udp:aaaa@eth1"} {
		c := newClock()
		s := openStore(t, t.TempDir(), c)
		pass := lanPass(c.now())
		pass.Method, pass.Ports = method, "161"
		if err := s.PassDone(t.Context(), pass); err != nil {
			t.Fatal(err)
		}
		at := c.add(time.Hour)
		for range 2 {
			v := visitOf("192.0.2.1", 161, at, "Net-SNMP", "5.9")
			v.Key.Transport, v.Method = probes.UDP, method
			mustApply(t, s, v)
			at = c.add(2 * time.Second)
		}
		events := wantActions(t, s.Reader, "watch.baselined", "host.new", "service.new")
		if !strings.Contains(events[0].Message, "UDP") {
			t.Errorf("%s: %s", method, events[0].Message)
		}
	}
}
