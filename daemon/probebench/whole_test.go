//go:build integration || lab || bench

package probebench

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"os"
	"runtime/debug"
	"time"

	"go4.org/netipx"

	"sonde/capture"
	"sonde/config"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/scan"
	"sonde/daemon/internal/sensor"
	"sonde/probes"
)

// A wholeSpec says what the roles sense and scanall ask: Count peers of a
// crowd, all at once. Discovery is left out, as it ends before most of them
// were asked: each is said to be open.
type wholeSpec struct {
	Port  uint16
	Count int
}

// wholeResult weighs the process, and tells how the visits ended.
type wholeResult struct {
	Outcomes         map[string]int
	PeakKiB, IdleKiB int
	Took             time.Duration
}

// foundAll is a discovery that finds each peer of a crowd at once.
type foundAll struct{ wholeSpec }

func (f foundAll) Sweep(ctx context.Context, _ capture.Plan, yield func(capture.Reply)) (capture.Stats, error) {
	for i := range f.Count {
		if ctx.Err() != nil {
			break
		}
		yield(capture.Reply{Addr: netip.AddrPortFrom(peerAt(i), f.Port), Network: capture.TCP,
			Kind: capture.Accepted, Reason: "syn-ack", At: time.Now()})
	}
	return capture.Stats{Targets: uint64(f.Count), Accepted: uint64(f.Count)}, ctx.Err()
}

// Look finds everything alive, as a server does that accepts.
func (f foundAll) Look(_ context.Context, targets iter.Seq[capture.Target], yield func(capture.Reply)) (capture.Stats, error) {
	for t := range targets {
		yield(capture.Reply{Addr: t.Addr, Network: t.Network, Kind: capture.Accepted, Reason: "syn-ack", At: time.Now()})
	}
	return capture.Stats{}, nil
}

// weigh runs do with a visitor, and weighs the process meanwhile.
func weigh(spec []byte, ready func(any), do func(wholeSpec, visitor, *wholeResult) error) (any, error) {
	var s wholeSpec
	if err := json.Unmarshal(spec, &s); err != nil {
		return nil, err
	}
	if err := manyFiles(manyPeers); err != nil {
		return nil, err
	}
	db, err := loadDatabase("")
	if err != nil {
		return nil, err
	}
	v, stop, err := newVisitor(db)
	if err != nil {
		return nil, err
	}
	debug.SetGCPercent(40) // as the program does
	debug.FreeOSMemory()   // what loading left behind
	if err := forgetPeak(); err != nil {
		return nil, err
	}
	r := wholeResult{Outcomes: map[string]int{}}
	r.IdleKiB, _ = memory()
	ready(struct{}{})
	began := time.Now()
	err = do(s, v, &r)
	stop()
	r.Took = time.Since(began)
	_, r.PeakKiB = memory()
	return r, err
}

// scanAllRole is what `sonde scan` does of a crowd.
func scanAllRole(ctx context.Context, spec []byte, ready func(any)) (any, error) {
	return weigh(spec, ready, func(s wholeSpec, v visitor, r *wholeResult) error {
		res, err := scan.Run(ctx, scan.Plan{Sweeps: make([]capture.Plan, 1), Visits: s.Count,
			Sweeper: foundAll{s}, Visitor: v}, &scan.Progress{})
		for _, h := range res.Hosts {
			for i := range h.Ports {
				r.Outcomes[string(h.Ports[i].Outcome)]++
			}
		}
		return err
	})
}

// senseRole is what `sonde run` does of a crowd at its first look.
func senseRole(ctx context.Context, spec []byte, ready func(any)) (any, error) {
	dir, err := os.MkdirTemp("", "probebench-state-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	store, err := inventory.Open(ctx, inventory.Config{Dir: dir, Sensor: "bench", Version: "bench"})
	if err != nil {
		return nil, err
	}
	defer store.Close()
	return weigh(spec, ready, func(s wholeSpec, v visitor, r *wholeResult) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		counted := &countingStore{Store: store, left: s.Count, outcomes: r.Outcomes, all: cancel}
		all := netip.MustParsePrefix("127.64.0.0/10")
		scope := inventory.Pass{Watch: "crowd", Zone: "default", Method: "connect",
			Targets: []netip.Prefix{all}, Ports: fmt.Sprint(s.Port)}
		plan := capture.Plan{Network: capture.TCP, Ports: []uint16{s.Port},
			Addrs: config.NewAddrSet(config.Range{First: all.Addr(), Last: netipx.PrefixLastIP(all)})}
		return sensor.New(sensor.Config{Inventory: counted, Visits: s.Count, Now: time.Now,
			Quarantine: sensor.DefaultQuarantine, Log: slog.New(slog.DiscardHandler),
			Watches: []sensor.Watch{{Name: "crowd", Zone: "default", VerifyEvery: time.Hour,
				Sweeper: foundAll{s}, Looker: foundAll{s}, Visitor: v,
				Contains: func(netip.Addr, probes.Transport, uint16) bool { return true },
				Sweeps:   []sensor.Sweep{{Transport: probes.TCP, Every: time.Hour, Plan: plan, Pass: scope}}}},
		}).Run(ctx, func() {})
	})
}

// A countingStore ends the sensor when each endpoint was asked once.
type countingStore struct {
	*inventory.Store
	left     int
	outcomes map[string]int
	all      func()
}

func (c *countingStore) Apply(ctx context.Context, visits []inventory.Visit) ([]inventory.Standing, error) {
	after, err := c.Store.Apply(ctx, visits)
	for i := range visits {
		c.outcomes[string(visits[i].Observation.Outcome)]++
	}
	if c.left -= len(visits); c.left <= 0 {
		c.all()
	}
	return after, err
}
