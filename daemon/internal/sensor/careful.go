package sensor

import (
	"net/netip"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/fragile"
	"sonde/daemon/internal/inventory"
	"sonde/probes"
)

// A host of which one endpoint was identified as fragile is asked with care at
// all of its endpoints: by a Visitor of its own ([Watch.Careful]) and within less
// ([Config.Careful]).

// carefulFor is how long a host is asked with care after the endpoint that told
// what it is has gone: a printer whose web page was switched off is still one,
// an address that was handed to a laptop is not.
const carefulFor = 7 * 24 * time.Hour

// witnesses are the endpoints of a host that say that it is fragile, with the
// time until which each counts; zero: as long as it is there.
type witnesses map[event.Key]time.Time

// weigh notes what an endpoint says of its host. One whose identity is being
// confirmed still says what it said before.
func (s *Sensor) weigh(k event.Key, o *probes.Observation, after inventory.Standing) {
	h := hostOf(k)
	until, spoke := s.fragile[h][k]
	switch {
	case fragile.Host(o):
		s.testify(h, k, time.Time{})
	case !spoke:
	case after.Status == inventory.Gone, after.Status == inventory.Unknown:
		if until.IsZero() {
			s.testify(h, k, s.now().Add(carefulFor))
		}
	case o.Strength == probes.Hard && after.Next.At.IsZero():
		delete(s.fragile[h], k)
		s.careful(h)
	case !until.IsZero() && after.Status == inventory.Present: // it is back
		s.testify(h, k, time.Time{})
	}
}

func (s *Sensor) testify(h hostID, k event.Key, until time.Time) {
	first := s.fragile[h] == nil
	if first {
		s.fragile[h] = witnesses{}
	}
	s.fragile[h][k] = until
	if first {
		s.cfg.Log.Info("host is asked with care from now on", "addr", h.addr, "port", k.Port, "transport", k.Transport)
		s.grantLess(h.addr, true)
		s.reconsider(h)
		s.recallAll(h)
	}
}

// careful tells whether a host is to be asked with care, and forgets those of
// which nothing says so any more.
func (s *Sensor) careful(h hostID) bool {
	all := s.fragile[h]
	if all == nil {
		return false
	}
	now := s.now()
	for k, until := range all {
		if !until.IsZero() && !now.Before(until) {
			delete(all, k)
		}
	}
	if len(all) > 0 {
		return true
	}
	delete(s.fragile, h)
	s.grantLess(h.addr, false)
	s.reconsider(h)
	return false
}

func (s *Sensor) grantLess(a netip.Addr, on bool) {
	if s.cfg.Careful != nil {
		s.cfg.Careful(a, on)
	}
}

// visitorOf chooses who asks an endpoint.
func (s *Sensor) visitorOf(w *Watch, h hostID) Visitor {
	if w.Careful != nil && s.careful(h) {
		return w.Careful
	}
	return w.Visitor
}

// recallAll ends the visits to a host that are under way, to be made anew.
func (s *Sensor) recallAll(h hostID) {
	for f := range s.air {
		if hostOf(f.key) == h && f.watch.Careful != nil && !f.taken {
			f.recalled = true
			f.cancel(fragile.ErrRecalled)
		}
	}
}

// askAnew schedules a visit that was recalled. One that has its identity counts:
// it had ended before it heard of that, or was about to.
func (s *Sensor) askAnew(f *flight) bool {
	if !f.recalled || f.seen.Strength == probes.Hard {
		return false
	}
	delete(s.air, f)
	s.putBack(f, s.now())
	return true
}
