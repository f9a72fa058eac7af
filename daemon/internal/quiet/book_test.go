package quiet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type keeper struct {
	text string
	err  error
}

func (k *keeper) Orders(context.Context) (string, error) { return k.text, k.err }
func (k *keeper) SetOrders(_ context.Context, text string) error {
	if k.err == nil {
		k.text = text
	}
	return k.err
}

func open(t *testing.T, k *keeper, now *time.Time) *Book {
	t.Helper()
	b, err := Open(t.Context(), k, func() time.Time { return *now })
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOrdersHoldOverRestarts(t *testing.T) {
	k, now := &keeper{}, t0
	b := open(t, k, &now)
	h := event.Host{Zone: "default", Addr: netip.MustParseAddr("192.0.2.7")}
	for _, err := range []error{
		b.Give(t.Context(), Order{Kind: Pause, Target: "lan", Since: t0, Reason: "audit", By: "uid 1000"}),
		b.Give(t.Context(), Order{Kind: Silence, Target: "192.0.2.0/24", Since: t0, Until: t0.Add(time.Hour)}),
		b.Give(t.Context(), Order{Kind: Silence, Target: "192.0.2.0/24", Since: t0, Until: t0.Add(2 * time.Hour)}),
		b.Release(t.Context(), h, 24*time.Hour),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	again := open(t, k, &now)
	want := []Order{{Pause, "lan", t0, time.Time{}, "audit", "uid 1000"},
		{Release, "default/192.0.2.7", t0, t0.Add(24 * time.Hour), "", ""},
		{Silence, "192.0.2.0/24", t0, t0.Add(2 * time.Hour), "", ""}}
	if d := cmp.Diff(want, again.Orders()); d != "" {
		t.Error(d)
	}
	if reason, paused := again.Paused("lan"); !paused || reason != "audit" {
		t.Errorf("paused %v, %q", paused, reason)
	}
	if !again.Released(h).Equal(t0) {
		t.Errorf("released at %v", again.Released(h))
	}
	now = t0.Add(25 * time.Hour)
	if got := again.Orders(); len(got) != 1 || !again.Released(h).IsZero() {
		t.Errorf("after a day %v hold", got)
	}
	if err := again.Take(t.Context(), Pause, "lan"); err != nil || len(again.Orders()) != 0 || k.text != "[]" {
		t.Errorf("taken back: %v, left %v, stored %s", err, again.Orders(), k.text)
	}
	if err := again.Take(t.Context(), Pause, "lan"); !errors.Is(err, ErrNone) {
		t.Errorf("taken back twice: %v", err)
	}
}

func TestOrdersThatAreNotStoredDoNotHold(t *testing.T) {
	k, now := &keeper{}, t0
	b := open(t, k, &now)
	k.err = errors.New("disk full")
	if err := b.Give(t.Context(), Order{Kind: Pause, Target: "lan"}); !errors.Is(err, k.err) {
		t.Errorf("given: %v", err)
	}
	if _, paused := b.Paused("lan"); paused {
		t.Error("an order holds that a restart would forget")
	}
}

func TestOrdersRefused(t *testing.T) {
	k, now := &keeper{}, t0
	b := open(t, k, &now)
	for _, o := range []Order{{Kind: Pause}, {Kind: "stop", Target: "lan"}, {Kind: Silence, Target: "192.0.2.1:443"},
		{Kind: Silence, Target: "192.0.2.1:0/tcp"}, {Kind: Silence, Target: "192.0.2.1:1/sctp"}, {Kind: Silence},
		{Kind: Silence, Target: "two words"}, {Kind: Pause, Target: "lan", Reason: strings.Repeat("x", 201)}} {
		if err := b.Give(t.Context(), o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	for i := range MaxOrders {
		if err := b.Give(t.Context(), Order{Kind: Pause, Target: fmt.Sprint("w", i)}); err != nil {
			t.Fatal(err)
		}
		if testing.Short() && i > 10 {
			return
		}
	}
	if err := b.Give(t.Context(), Order{Kind: Pause, Target: "one more"}); err == nil {
		t.Error("more than MaxOrders are taken")
	}
	if _, err := Open(t.Context(), &keeper{text: "nonsense"}, time.Now); err == nil {
		t.Error("what cannot be read is taken for none")
	}
}

func about(watch, addr string, port uint16) *event.Event {
	e := &event.Event{Action: event.ServiceNew, Watch: watch}
	if addr != "" {
		e.Endpoint = &probes.Observation{Addr: netip.MustParseAddr(addr), Port: port, Transport: probes.TCP}
	}
	return e
}

func TestSilenced(t *testing.T) {
	for _, tt := range []struct {
		target string
		event  *event.Event
		want   bool
	}{
		{"lan", about("lan", "192.0.2.1", 22), true},
		{"lan", about("lan", "", 0), true},
		{"lan", about("dmz", "192.0.2.1", 22), false},
		{"192.0.2.1", about("lan", "192.0.2.1", 22), true},
		{"192.0.2.1", about("lan", "::ffff:192.0.2.1", 22), true},
		{"192.0.2.1", about("lan", "192.0.2.1", 0), true}, // the host
		{"192.0.2.1", about("lan", "192.0.2.2", 22), false},
		{"192.0.2.1", about("lan", "", 0), false}, // the watch
		{"192.0.2.9/24", about("lan", "192.0.2.2", 22), true},
		{"2001:db8::/32", about("lan", "2001:db8::1", 22), true},
		{"fe80::1%eth0", about("lan", "fe80::1%eth0", 22), true},
		{"192.0.2.1:22/tcp", about("lan", "192.0.2.1", 22), true},
		{"192.0.2.1:22/udp", about("lan", "192.0.2.1", 22), false},
		{"192.0.2.1:23/tcp", about("lan", "192.0.2.1", 22), false},
		{"[2001:db8::1]:22/tcp", about("lan", "2001:db8::1", 22), true},
		{"lan", &event.Event{Action: event.SensorDegraded}, false},
	} {
		now := t0
		b := open(t, &keeper{}, &now)
		if b.Silenced(tt.event, now) {
			t.Errorf("without an order: silenced")
		}
		if err := b.Give(t.Context(), Order{Kind: Silence, Target: tt.target, Until: t0.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if got := b.Silenced(tt.event, now); got != tt.want {
			t.Errorf("silence of %s, event of %s %v: %v", tt.target, tt.event.Watch, tt.event.Endpoint, got)
		}
		if b.Silenced(tt.event, t0.Add(time.Hour)) {
			t.Errorf("silence of %s goes on when it is over", tt.target)
		}
	}
}

func TestWindows(t *testing.T) {
	now := t0
	b := open(t, &keeper{}, &now)
	b.SetWindows([]Window{{
		Name:   "patches",
		At:     func(at time.Time) (bool, time.Time) { return at.Hour() == 12, at.Add(time.Hour) },
		Covers: func(w string, a netip.Addr) bool { return w == "lan" && a.IsValid() },
	}})
	if err := b.Give(t.Context(), Order{Kind: Pause, Target: "dmz"}); err != nil { // keeps the windows
		t.Fatal(err)
	}
	want := []Standing{{"patches", true, t0.Add(time.Hour)}}
	if d := cmp.Diff(want, b.Windows()); d != "" {
		t.Error(d)
	}
	for _, tt := range []struct {
		e    *event.Event
		at   time.Time
		want bool
	}{
		{about("lan", "192.0.2.1", 22), t0, true},
		{about("lan", "192.0.2.1", 22), t0.Add(time.Hour), false},
		{about("lan", "", 0), t0, false},
		{about("dmz", "192.0.2.1", 22), t0, false},
		{&event.Event{Action: event.SensorHeartbeat}, t0, false},
	} {
		if got := b.Silenced(tt.e, tt.at); got != tt.want {
			t.Errorf("%s %v at %v: %v", tt.e.Watch, tt.e.Endpoint, tt.at, got)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"lan", "192.0.2.1", "192.0.2.0/24", "[2001:db8::1]:53/udp", "fe80::1%eth0", "::/0", "1/2/3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		target, err := ParseTarget(s)
		if err == nil && target.watch == "" && !target.prefix.IsValid() {
			t.Errorf("%q covers nothing", s)
		}
	})
}
