package sensor

import (
	"context"
	"net/netip"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/schedule"
	"sonde/probes"
)

// What listening sees may be forged, and is never more than a hint to ask now.
const (
	// passingMost is how many sightings may wait for the loop: it takes
	// thousands a second, and listening tells some hundred.
	passingMost = 1 << 10
	// hintsMost is how many visits may wait before hints are left alone: at a
	// hundred visits a second a minute's work. A flood of forged sightings
	// then delays what is due by that much at most.
	hintsMost = 6_000
	// notesMost is how many events may wait to be recorded.
	notesMost = 64
)

// passing is a sighting of an endpoint that some traffic betrayed, or with port 0
// of a host.
type passing struct {
	watch     string
	addr      netip.Addr
	transport probes.Transport
	port      uint16
}

// Sighted takes that an endpoint of a watch was seen to answer somebody else.
// One that is not known, or that was not asked within the watch's VerifyEvery,
// is asked now. It does not block: what the loop has no room for is counted,
// and is seen again. Any goroutine may call it.
func (s *Sensor) Sighted(watch string, a netip.Addr, t probes.Transport, port uint16) {
	select {
	case s.passing <- passing{watch, a, t, port}:
	default:
		s.missed.Add(1)
	}
}

// pass looks at one sighting.
func (s *Sensor) pass(p passing) {
	w := s.watches[p.watch]
	if w != nil && p.port == 0 {
		s.passHost(w, p.addr)
		return
	}
	if w == nil || !w.Contains(p.addr, p.transport, p.port) {
		return
	}
	k := event.Key{Zone: w.Zone, Addr: p.addr, Transport: p.transport, Port: p.port}
	if !s.rested(hostOf(k)).IsZero() {
		return
	}
	e := schedule.Entry{ID: schedule.ID{Key: k}, Watch: w.Name, Kind: schedule.Sighted, Due: s.now()}
	if known, there := s.known.get(k); there {
		if e.Due.Sub(known.visited) <= w.VerifyEvery {
			return
		}
		e.Kind, e.Late = schedule.Verify, e.Due
	} else if s.queue.Len() >= hintsMost+s.known.len() {
		s.missed.Add(1)
		return
	}
	s.queue.Put(e, s.now())
}

// Tell has the loop record an event. It does not block: what there is no room
// for is logged alone. Any goroutine may call it.
func (s *Sensor) Tell(e event.Event) {
	select {
	case s.notes <- e:
	default:
		s.cfg.Log.Error("event not recorded, too many wait", "action", e.Action, "message", e.Message)
	}
}

func (s *Sensor) note(ctx context.Context, e event.Event) {
	if err := s.cfg.Inventory.Record(ctx, e); err != nil {
		s.cfg.Log.Error("event not stored", "action", e.Action, "message", e.Message, "err", err)
	}
}
