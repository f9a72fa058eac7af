package sensor

import (
	"net/netip"

	"sonde/capture"
	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/schedule"
	"sonde/probes"
)

// A SYN proxy, a tarpit or a captive portal takes connections on every port of a
// host and says nothing. It is known for that once many of them are known to
// answer alike, but a sweep comes upon them one after the other, and upon half
// of them if it began in the middle of a sweep. So a new find that says nothing
// has other ports of its host asked before it is confirmed: where more answer
// than may be told one by one, it waits until these were visited, too. A first
// look is no different, as the proxy may be there only while it is taken.

// aroundMost is how many ports are asked: at 40 packets a second they take six
// seconds, where all ports of a host take half an hour. What answers on every
// fifth port of those that are watched shows more than 50 among them.
const aroundMost = 256

// An around is a host that is looked at so.
type around struct {
	keys map[event.Key]bool // finds that wait
}

// lookAround has a find wait until its host was looked at. Should that fail, the
// next sweep would have come by then.
func (s *Sensor) lookAround(k event.Key, w *Watch) {
	ports := spread(w.ports(k.Transport), max(aroundMost, 5*s.cfg.Alike))
	if len(ports) <= s.cfg.Alike {
		return
	}
	id := schedule.ID{Key: k}
	s.queue.Remove(id)
	s.queue.Put(schedule.Entry{ID: id, Watch: w.Name, Kind: schedule.Confirm, Due: s.now().Add(w.discoverEvery())}, s.now())
	h := hostOf(k)
	a := s.around[h]
	if a == nil {
		a = &around{keys: map[event.Key]bool{}}
		s.around[h] = a
		s.startAround(h, w, ports)
	}
	a.keys[k] = true
}

// awaits says whether a find waits so. A visit that comes out of turn, as somebody
// wants it or another one gave cause, does not confirm it.
func (s *Sensor) awaits(k event.Key) bool {
	a := s.around[hostOf(k)]
	return a != nil && a.keys[k]
}

// firstIsHeld says whether the first visit of what a sweep came upon is held, so
// that it waits even if what it saw is otherwise taken as given.
func (s *Sensor) firstIsHeld(f *flight) bool {
	_, there := s.known.get(f.key)
	return !there && f.debt != nil && f.key.Transport == probes.TCP && mute(f.seen) &&
		len(f.watch.ports(probes.TCP)) > s.cfg.Alike
}

func (s *Sensor) startAround(h hostID, w *Watch, ports []uint16) {
	targets := make([]capture.Target, len(ports))
	for i, port := range ports {
		targets[i] = capture.Target{Network: capture.TCP, Addr: netip.AddrPortFrom(h.addr, port)}
	}
	s.look(&look{looker: w.Looker, watch: w.Name, targets: targets, over: func(l *look) { s.endAround(h, w, l) }})
}

// endAround has the finds confirmed now, unless so many others answer that these
// are to be visited before.
func (s *Sensor) endAround(h hostID, w *Watch, l *look) {
	a := s.around[h]
	answered := 0
	for i := range l.replies {
		if l.replies[i].Kind == capture.Accepted {
			answered++
		}
	}
	switch {
	case l.err != nil || l.stats.Degraded:
		delete(s.around, h)
		return
	case answered > s.cfg.Alike && len(a.keys) <= s.cfg.Alike:
		for _, r := range l.replies {
			if r.Kind == capture.Accepted {
				s.sight(sighting{watch: w, reply: r})
			}
		}
		again := *l
		again.replies, again.from = nil, s.now().Add(lookAgainAfter)
		s.look(&again)
		return
	}
	delete(s.around, h)
	for k := range a.keys {
		s.queue.Put(schedule.Entry{ID: schedule.ID{Key: k}, Watch: w.Name, Kind: schedule.Confirm, Due: s.now()}, s.now())
	}
}

// spread gives most of the ports, evenly, or all if they are no more.
func spread(ports []uint16, most int) []uint16 {
	if len(ports) <= most {
		return ports
	}
	some := make([]uint16, most)
	for i := range some {
		some[i] = ports[i*len(ports)/most]
	}
	return some
}

// ports are those of a watch.
func (w *Watch) ports(t probes.Transport) []uint16 {
	for i := range w.Sweeps {
		if w.Sweeps[i].Transport == t {
			return w.Sweeps[i].Plan.Ports
		}
	}
	return nil
}

// isNew says whether something is to be confirmed as new, or as back.
func isNew(after inventory.Standing) bool {
	return (after.Status == inventory.Candidate || after.Status == inventory.Gone) && after.Next.Why == inventory.ConfirmNew
}

// mute tells whether an endpoint said nothing by which it is recognised: what
// its port is usually for is no word of it.
func mute(o *probes.Observation) bool {
	return o.Strength != probes.Hard && o.Strength != probes.Soft
}
