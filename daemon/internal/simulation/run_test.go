package simulation

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"sonde/capture"
	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/sensor"
	"sonde/match"
	"sonde/probes"
)

const (
	verifyEvery   = time.Hour
	discoverEvery = time.Hour
)

// A play is a simulation: what happens when, and what is to be told of it.
type play struct {
	ledger
	w     *world
	dir   string
	ports uint16 // 1 to this are watched
	days  int
	acts  []act

	store    *inventory.Store
	stop     func()
	paused   bool
	restarts int
}

type act struct {
	at time.Duration
	do func()
}

func addrOf(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 9, 0, byte(n)}) }

// at has something happen.
func (p *play) at(when time.Duration, do func()) { p.acts = append(p.acts, act{when, do}) }

// change has a true change happen, to be told by the events.
func (p *play) change(when time.Duration, do func(), wants ...want) {
	p.at(when, func() { p.w.mu.Lock(); defer p.w.mu.Unlock(); do() })
	p.expect(when, wants...)
}

// noise has something happen of which nothing is to be told.
func (p *play) noise(when time.Duration, do func()) { p.change(when, do) }

// run plays all acts, in order.
func (p *play) run(until time.Duration) {
	slices.SortStableFunc(p.acts, func(a, b act) int { return cmp.Compare(a.at, b.at) })
	p.start()
	for _, a := range p.acts {
		time.Sleep(time.Until(p.begun.Add(a.at)))
		a.do()
	}
	time.Sleep(time.Until(p.begun.Add(until)))
	p.stop()
}

// quietStore leaves out the signs of life, of which there are 8,640 a day.
type quietStore struct{ *inventory.Store }

func (quietStore) Alive(context.Context) error { return nil }

// start starts the sensor over the store as it was left.
func (p *play) start() {
	var err error
	log := slog.New(slog.DiscardHandler)
	rules := inventory.DefaultRules()
	rules.GoneAfter = 2 * time.Hour // longer than discoverEvery, so that a host is found elsewhere before
	p.store, err = inventory.Open(p.t.Context(), inventory.Config{Dir: p.dir, Rules: rules, Sensor: "simulation", Version: "1", Log: log})
	if err != nil {
		p.t.Fatal(err)
	}
	p.store.SetSilencer(func(_ *event.Event, at time.Time) bool { return at.Hour() >= 2 && at.Hour() < 4 }) // maintenance
	database := p.w.database
	_, err = p.store.Rematch(p.t.Context(), inventory.Matcher{Database: database, Engine: "1",
		Again: func(was *probes.Observation) (probes.Observation, bool) {
			if was.Port >= recordedPort && was.Evidence != nil && was.Addr.As4()[3] >= recordedFirst {
				return p.w.recorded.again(database, was)
			}
			now := *was
			now.Database = database
			if was.Service == "x" && database == "database-2" { // which knows it
				now.Identity, now.Strength = match.Identity{Service: "amqp", Product: "RabbitMQ", Version: "3.12.1"}, probes.Hard
			}
			return now, was.Evidence != nil
		}})
	if err != nil {
		p.t.Fatal(err)
	}
	plan := capture.Plan{Network: capture.TCP}
	var targets []netip.Prefix
	list := addrs{}
	for n := range 80 {
		list = append(list, addrOf(n+1))
		targets = append(targets, netip.PrefixFrom(addrOf(n+1), 32))
	}
	plan.Addrs = list
	for port := uint16(1); port <= p.ports; port++ {
		plan.Ports = append(plan.Ports, port)
	}
	s := sensor.New(sensor.Config{Inventory: quietStore{p.store}, Visits: 60, HostVisits: 1, Quarantine: sensor.DefaultQuarantine, Alike: rules.AlikeEndpoints,
		Now: time.Now, Log: log, Seed: 5, Orders: p,
		Watches: []sensor.Watch{{Name: "lan", Zone: "default", VerifyEvery: verifyEvery,
			Sweeper: p.w, Looker: p.w, Visitor: p.w, Target: p.w.target,
			Contains: func(a netip.Addr, t probes.Transport, port uint16) bool {
				_, in := list.Index(a)
				return in && t == probes.TCP && port <= p.ports
			},
			Sweeps: []sensor.Sweep{{Transport: probes.TCP, Every: discoverEvery, Plan: plan,
				Pass: inventory.Pass{Watch: "lan", Zone: "default", Method: "connect", Targets: targets,
					Ports: fmt.Sprintf("1-%d", p.ports)}}},
		}}})
	ctx, cancel := context.WithCancel(p.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, func() {}) }()
	p.stop = func() {
		cancel()
		if err := <-done; err != nil {
			p.t.Error(err)
		}
		if err := p.store.Close(); err != nil {
			p.t.Error(err)
		}
	}
}

// restart stops the sensor for a while and starts it again, as do leaves it.
func (p *play) restart(when, pause time.Duration, do func()) {
	p.at(when, func() { p.stop(); p.restarts++ })
	p.at(when+pause, func() { do(); p.start() })
}

// Paused, Released and Release make the play the sensor's orders.
func (p *play) PausedBy(string) string { return "" }

func (p *play) Paused(string) (string, bool) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return "", p.paused
}
func (*play) Released(event.Host) time.Time                            { return time.Time{} }
func (*play) Release(context.Context, event.Host, time.Duration) error { return nil }

// judge compares what was told with what was to be.
func (p *play) judge() score {
	r, err := inventory.OpenReadOnly(p.t.Context(), p.dir)
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Close()
	s := score{byAction: map[event.Action]int{}}
	for after := int64(0); ; {
		lines, err := r.Events(p.t.Context(), after, 1000)
		if err != nil {
			p.t.Fatal(err)
		}
		if len(lines) == 0 {
			break
		}
		for i := range lines {
			var e event.Event
			if err := json.Unmarshal(lines[i].JSON, &e); err != nil {
				p.t.Fatal(err)
			}
			after = e.Seq
			p.score(&s, &e)
		}
	}
	p.sum(&s)
	return s
}
