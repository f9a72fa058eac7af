package sensor

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"sonde/daemon/internal/event"
)

// alive notes a sign of life, for the gap that the next start tells.
func (s *Sensor) alive(ctx context.Context) {
	if err := s.cfg.Inventory.Alive(ctx); err != nil {
		s.cfg.Log.Error("sign of life not stored", "err", err)
	}
}

// maxBeaten is how many watches a heartbeat counts one by one. An event may have
// 200 values: 30 of its own, 6 sums, 9 outcomes, 8 of sockets, 13 of discovery
// and 12 of outputs leave 122, which are eight for each of 15.
const maxBeaten = 15

// A tally is how the promises of one watch stand.
type tally struct {
	watch                      string
	known, fresh, overdue      int
	unstable                   int
	quarantined, held, blocked int
	oldest                     time.Duration // since the service was asked that waits longest
	sweepAge                   time.Duration // since the oldest last sweep began; below 0: never
}

// heartbeat tells how the promises stand. "fresh" counts services whose
// identity was confirmed within verify_every, "overdue" those that were not
// asked within it, "unstable" those whose identity wavers, "quarantined" those of hosts that are left alone after they
// fell silent, "held" those that policy forbids to ask, "blocked" those that
// refuse to answer this sensor; what is slowed or left alone is not overdue. A
// service may be counted by several. "sweep_age_s" is the seconds since the last
// complete sweep began; a watch that was never completely swept has none.
//
// Of the sums "quarantined" counts hosts that are left alone, or were and have
// not been seen since, "careful" those that are asked with care as they are
// fragile, "visits." the visits since the start by outcome. "sockets." tells how
// those of the visits stand: open and waiting now, of how many that there may be
// and the system granted of late; and how often since the start of the program
// it had no descriptor, source port or buffer, and a stranger sent something.
// "discovery." counts what discovery sent and received, see Config.Discovery,
// and the sightings that the sensor had no room for. "output." counts for each
// output how many events it is behind, see Config.Outputs.
func (s *Sensor) heartbeat(ctx context.Context) {
	var all tally
	list := s.tallies()
	for _, t := range list {
		all.known, all.fresh, all.overdue = all.known+t.known, all.fresh+t.fresh, all.overdue+t.overdue
	}
	counts := map[string]int{"known": all.known, "fresh": all.fresh, "overdue": all.overdue}
	for outcome, n := range s.outcomes {
		counts["visits."+string(outcome)] = n
	}
	counts["quarantined"], counts["careful"] = len(s.resting), len(s.fragile)
	s.countSockets(counts)
	s.countDiscovery(counts)
	s.countOutputs(ctx, counts)
	for i, t := range list {
		if i == maxBeaten {
			counts["watches_left_out"] = len(list) - maxBeaten
			break
		}
		counts[t.watch+".known"] = t.known
		counts[t.watch+".fresh"] = t.fresh
		counts[t.watch+".overdue"] = t.overdue
		counts[t.watch+".unstable"] = t.unstable
		counts[t.watch+".quarantined"] = t.quarantined
		counts[t.watch+".held"] = t.held
		counts[t.watch+".blocked"] = t.blocked
		if t.sweepAge >= 0 {
			counts[t.watch+".sweep_age_s"] = int(t.sweepAge.Seconds())
		}
	}
	e := event.Event{Action: event.SensorHeartbeat, Counts: counts,
		Message: fmt.Sprintf("the sensor is alive: %d services known, %d fresh, %d overdue",
			all.known, all.fresh, all.overdue)}
	if err := s.cfg.Inventory.Record(ctx, e); err != nil {
		s.cfg.Log.Error("heartbeat not stored", "err", err)
	}
}

// discoveryMost is how many names of Config.Discovery a heartbeat has room for.
const discoveryMost = 12

func (s *Sensor) countDiscovery(counts map[string]int) {
	if s.cfg.Discovery == nil {
		return
	}
	named := s.cfg.Discovery()
	names := slices.Sorted(maps.Keys(named))
	for _, name := range names[:min(len(names), discoveryMost)] {
		counts["discovery."+name] = named[name]
	}
	counts["discovery.sightings_missed"] = int(min(s.missed.Load(), math.MaxInt32))
}

// outputsMost is how many names of Config.Outputs a heartbeat has room for.
const outputsMost = 12

func (s *Sensor) countOutputs(ctx context.Context, counts map[string]int) {
	if s.cfg.Outputs == nil {
		return
	}
	named := s.cfg.Outputs(ctx)
	names := slices.Sorted(maps.Keys(named))
	for _, name := range names[:min(len(names), outputsMost)] {
		counts["output."+name] = named[name]
	}
}

func (s *Sensor) countSockets(counts map[string]int) {
	if s.cfg.Sockets == nil {
		return
	}
	now := s.cfg.Sockets()
	for name, n := range map[string]int{
		"open": now.Open, "waiting": now.Waiting, "limit": now.Limit, "capacity": now.Capacity,
		"no_files": count(now.Files), "no_ports": count(now.Ports), "no_buffers": count(now.Buffers),
		"foreign": count(now.Foreign),
	} {
		counts["sockets."+name] = n
	}
}

// count fits a counter into an event, which has numbers that all systems read.
func count(n uint64) int { return int(min(n, math.MaxInt32)) }

// tallies gives one tally per watch, the most overdue first. It takes some 10 µs
// for each watch, however many services there are.
func (s *Sensor) tallies() []tally {
	now := s.now()
	s.endRests(now)
	list := make([]tally, 0, len(s.watches))
	for name, w := range s.watches {
		t := s.known.of(name).tally(now)
		t.watch, t.sweepAge = name, s.sweepAge(w, now)
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b tally) int {
		return cmp.Or(b.overdue-a.overdue, strings.Compare(a.watch, b.watch))
	})
	return list
}

// sweepAge is how long ago that sweep of the watch began which is the oldest
// of the last complete ones, or -1 when one was never complete.
func (s *Sensor) sweepAge(w *Watch, now time.Time) time.Duration {
	age := time.Duration(-1)
	for i := range w.Sweeps {
		began, ok := s.last[sweepID(w, &w.Sweeps[i])]
		if !ok {
			return -1
		}
		age = max(age, now.Sub(began))
	}
	return age
}
