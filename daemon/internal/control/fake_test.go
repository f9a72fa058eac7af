package control

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/quiet"
	"sonde/daemon/internal/sensor"
	"sonde/probes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a sensor that says what it is told to say.
type fake struct {
	mu    sync.Mutex
	view  sensor.Overview
	err   error
	hangs bool // until who asks gives up
	asked int

	plan     sensor.Plan
	saw      probes.Observation
	verified []event.Key
	released []event.Host
}

func (f *fake) Overview(ctx context.Context) (sensor.Overview, error) {
	f.mu.Lock()
	view, err, hangs := f.view, f.err, f.hangs
	f.asked++
	f.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return sensor.Overview{}, ctx.Err()
	}
	return view, err
}

func (f *fake) Next(context.Context, event.Key) (sensor.Plan, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.plan, f.err
}

func (f *fake) Verify(_ context.Context, k event.Key) (probes.Observation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.verified = append(f.verified, k)
	return f.saw, f.err
}

func (f *fake) Obey(ctx context.Context) error {
	_, err := f.Overview(ctx)
	return err
}

func (f *fake) Release(_ context.Context, h event.Host) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.released = append(f.released, h)
	return f.err
}

// set changes what it says.
func (f *fake) set(do func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do(f)
}

// bench is a server with all that it needs, over real sockets and a real store.
type bench struct {
	*Server
	sensor  *fake
	store   *inventory.Store
	gen     *Generation
	dir     string
	local   string // address
	outputs []Output
	reloads error
	beat    time.Time
	hanging string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{sensor: &fake{view: overviewOfLan()}, dir: shortDir(t), beat: time.Now(),
		outputs: []Output{{Name: "json", Target: "/x/events.json", Backlog: 3}}}
	store, err := inventory.Open(t.Context(), inventory.Config{Dir: filepath.Join(b.dir, "state"), Sensor: "box",
		Version: "1", Rules: inventory.DefaultRules(), Keep: inventory.DefaultRetention()})
	if err != nil {
		t.Fatal(err)
	}
	b.store = store
	orders, err := quiet.Open(t.Context(), store, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	b.gen = &Generation{Sensor: b.sensor, Store: store, Orders: orders, Database: &probes.Database{Hash: "abc"},
		Discovery: Discovery{Method: "syn", Reason: "permitted"}, BestEffort: map[string]bool{"slow": true},
		Watches: []string{"lan", "slow"}, Asks: asksOfLan, Zones: func(a netip.Addr) []string {
			if a == netip.MustParseAddr("192.0.2.1") {
				return []string{"default"}
			}
			return nil
		},
		Outputs: func(context.Context) ([]Output, error) { return b.outputs, nil }}
	own, err := OpenDirectory(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Version: "1", Started: time.Unix(1000, 0), Beat: func() time.Time { return b.beat },
		Hanging:    func() (string, time.Duration) { return b.hanging, 42 * time.Second },
		StallAfter: 30 * time.Second, Log: slog.New(slog.DiscardHandler)}
	if cfg.Read, err = own.Listen("read.sock", ""); err != nil {
		t.Fatal(err)
	}
	if cfg.Act, err = own.Listen("act.sock", ""); err != nil {
		t.Fatal(err)
	}
	cfg.Reload = func(context.Context) error { return b.reloads }
	if cfg.Local, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	b.local = cfg.Local.Addr().String()
	b.Server = NewServer(cfg)
	b.Use(b.gen)
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan error)
	go func() { over <- b.Run(ctx, func() {}) }()
	t.Cleanup(func() {
		stop()
		if err := <-over; err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
		for _, err := range []error{own.Close(), store.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return b
}

// fresh has the next who asks see the sensor as it is now.
func (b *bench) fresh() {
	b.looking.Lock()
	defer b.looking.Unlock()
	b.last = nil
}

func (b *bench) actor() *Client {
	return NewClient(filepath.Join(b.dir, "act.sock"), "control.act_group")
}

func (b *bench) reader() *Client {
	return NewClient(filepath.Join(b.dir, "read.sock"), "control.read_group")
}

func overviewOfLan() sensor.Overview {
	return sensor.Overview{Visits: 2, Outcomes: map[probes.Outcome]int{probes.OutcomeAnswered: 7},
		Watches: []sensor.Standing{
			{Watch: "slow", Zone: "default", VerifyEvery: time.Hour, Known: 9, SweepAge: -1, VerifyBroken: true, Overdue: 4, Oldest: 2 * time.Hour},
			{Watch: "lan", Zone: "default", VerifyEvery: time.Minute, DiscoverEvery: time.Hour, Known: 3, Fresh: 2,
				SweepAge: 90 * time.Second, NextVisit: time.Unix(2000, 0), Due: 1, Later: 4},
		},
		Sweeps:    []sensor.UnderWay{{Watch: "slow", Transport: probes.TCP, Since: time.Unix(1500, 0), Targets: 100, Asked: 50, Asks: true}},
		Discovery: map[string]int{"sent": 10, "rate": 5, "sightings": 1, "sightings_suppressed": 2, "frames_dropped": 3}, Missed: 4}
}

// asksOfLan has port 22 of 192.0.2.1 in one zone, and of 192.0.2.2 in two.
func asksOfLan(t probes.Transport, a netip.Addr, port uint16) (list []Asker, why string) {
	if t != probes.TCP || port != 22 {
		return nil, "watch lan has this address, and not this port"
	}
	switch a.String() {
	case "192.0.2.2":
		list = append(list, Asker{Watch: "dmz", Zone: "dmz", Manner: Manner{Intensity: 7}})
		fallthrough
	case "192.0.2.1":
		return append(list, Asker{Watch: "lan", Zone: "default", Manner: Manner{Intensity: 7}}), ""
	}
	return nil, "an exclude names this address"
}
