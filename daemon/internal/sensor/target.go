package sensor

import (
	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/schedule"
)

// A Reach is how a target is reached; what is not known is left out.
type Reach struct {
	Way  string // interface and next hop
	MAC  string // of the target itself, where it is on-link
	VLAN int
}

// visitOf gives a visit as the inventory takes it. crowds are from s.crowds.
func (s *Sensor) visitOf(f *flight, crowds map[hostID]int) inventory.Visit {
	v := inventory.Visit{Key: f.key, Watch: f.watch.Name,
		Method: methodOf(f.watch, f.key.Transport), Observation: *f.seen, At: f.seen.At,
		Found: f.debt != nil, Crowd: crowds[hostOf(f.key)], Held: s.awaits(f.key) || s.firstIsHeld(f),
		Late: s.late(f.watch, s.now())}
	if f.watch.Target != nil {
		r := f.watch.Target(f.key.Addr)
		v.Way, v.MAC, v.VLAN = r.Way, r.MAC, r.VLAN
	}
	return v
}

// crowds counts by host the endpoints that sweeps found and that wait for their
// visit, nil when there are few in all.
func (s *Sensor) crowds() map[hostID]int {
	const few = 16
	if len(s.owed) <= few {
		return nil
	}
	n := map[hostID]int{}
	for k := range s.owed {
		n[hostOf(k)]++
	}
	return n
}

// doubt visits endpoints soon of which another visit made us unsure.
func (s *Sensor) doubt(v *inventory.Visit, keys []event.Key) {
	for _, k := range keys {
		if w := s.watches[v.Watch]; w.Contains(k.Addr, k.Transport, k.Port) {
			s.queue.Put(schedule.Entry{ID: schedule.ID{Key: k}, Watch: v.Watch,
				Kind: schedule.Confirm, Due: s.now()}, s.now())
		}
	}
}
