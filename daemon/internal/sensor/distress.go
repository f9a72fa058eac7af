package sensor

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sonde/capture"
	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/probes"
)

const (
	// distressLooks is how often in a row a host must show no sign of life,
	// after it was spoken to, before that counts as our doing.
	distressLooks = 2
	// lookAgainAfter lies between two looks: a device that restarts its
	// network stack is back within it, and no retransmission lasts so long.
	lookAgainAfter = 30 * time.Second
	// looksAside is how many other endpoints of the host are tried: one that
	// accepts shows that only a service fell silent.
	looksAside = 3
	// DefaultQuarantine is how long a host in distress is left alone.
	DefaultQuarantine = 24 * time.Hour
)

// A hostID names a host across its endpoints.
type hostID struct {
	zone string
	addr netip.Addr
}

func hostOf(k event.Key) hostID { return hostID{k.Zone, k.Addr} }

// A suspicion is a host that was spoken to and then was silent.
type suspicion struct {
	watch *Watch
	visit probes.Observation // after which it was silent
	looks int                // at the whole host, all without a sign of life
}

// A quarantine is a host that is left alone until some time, and watched for
// its recovery afterwards.
type quarantine struct {
	watch   string
	until   time.Time
	counted bool // that it is over, see endRests
}

// rested tells from when on a host may be spoken to again; zero means now. A
// suspected one waits for the end of the looks.
func (s *Sensor) rested(h hostID) time.Time {
	now := s.now()
	if _, ok := s.suspects[h]; ok {
		return now.Add(lookAgainAfter)
	}
	if q, ok := s.resting[h]; ok && now.Before(q.until) {
		return q.until
	}
	return time.Time{}
}

// trust ends a suspicion.
func (s *Sensor) trust(h hostID) {
	delete(s.suspects, h)
	s.reconsider(h)
}

// endRests counts the services of hosts anew that were left alone until now.
func (s *Sensor) endRests(now time.Time) {
	for h, q := range s.resting {
		if !q.counted && !now.Before(q.until) {
			q.counted = true
			s.resting[h] = q
			s.reconsider(h)
		}
	}
}

// suspect begins to look at a host when a visit that sent something ended
// without a byte: first at the endpoint alone, which is enough for a service
// that merely does not answer.
func (s *Sensor) suspect(ctx context.Context, v *inventory.Visit) {
	h, o := hostOf(v.Key), &v.Observation
	s.recovered(ctx, h, o)
	silent := o.Outcome == probes.OutcomeSilent || o.Outcome == probes.OutcomeUnreachable ||
		o.Outcome == probes.OutcomeInconclusive
	if !silent || o.Cost.Probes == 0 || o.Evidence != nil || s.suspects[h] != nil {
		return
	}
	sp := &suspicion{watch: s.watches[v.Watch], visit: *o}
	s.suspects[h] = sp
	s.reconsider(h)
	own := s.targetsAt(v.Key, 0)
	if len(own) == 0 {
		own = s.targetsAt(v.Key, looksAside)
	}
	s.lookAt(ctx, h, own, time.Time{})
}

// targetsAt gives the endpoint itself, if a connect can try it, and others of
// its host that are known, at most most of them.
func (s *Sensor) targetsAt(k event.Key, most int) (list []capture.Target) {
	if k.Transport == probes.TCP {
		list = append(list, capture.Target{Network: capture.TCP, Addr: netip.AddrPortFrom(k.Addr, k.Port)})
	}
	if most == 0 {
		return list
	}
	for other := range s.known.services(hostOf(k)) {
		if other.Transport == probes.TCP && other != k {
			list = append(list, capture.Target{Network: capture.TCP, Addr: netip.AddrPortFrom(k.Addr, other.Port)})
			if len(list) > most {
				break
			}
		}
	}
	return list
}

// lookAt tries some targets of a suspect, not before from. Without any it is no
// use: what cannot be looked at is not told. What comes of it is written with
// ctx.
func (s *Sensor) lookAt(ctx context.Context, h hostID, targets []capture.Target, from time.Time) {
	if len(targets) == 0 {
		s.trust(h)
		return
	}
	s.look(&look{looker: s.suspects[h].watch.Looker, watch: s.suspects[h].watch.Name, targets: targets, from: from,
		over: func(l *look) { s.endLook(ctx, h, l) }})
}

// endLook draws the conclusion of a look. One that failed proves nothing.
func (s *Sensor) endLook(ctx context.Context, h hostID, l *look) {
	sp := s.suspects[h]
	if l.err != nil || l.alive() {
		s.trust(h)
		return
	}
	o := &sp.visit
	key := event.Key{Zone: h.zone, Addr: o.Addr, Transport: o.Transport, Port: o.Port}
	all := s.targetsAt(key, looksAside)
	switch {
	case sp.looks == 0: // that was the endpoint alone; now the host, at once
		sp.looks++
		s.lookAt(ctx, h, all, time.Time{})
	case sp.looks < distressLooks:
		sp.looks++
		s.lookAt(ctx, h, all, s.now().Add(lookAgainAfter))
	default:
		delete(s.suspects, h)
		s.distress(ctx, h, sp)
	}
}

// distress leaves a host alone and tells why.
func (s *Sensor) distress(ctx context.Context, h hostID, sp *suspicion) {
	q := quarantine{watch: sp.watch.Name, until: s.now().Add(s.cfg.Quarantine)}
	s.resting[h] = q
	s.reconsider(h)
	s.forgive(ctx, h)
	o := sp.visit
	e := event.Event{Action: event.HostDistress, Cause: event.CauseSelf, Watch: q.watch, Zone: h.zone,
		Endpoint: &o, ObservedAt: o.At,
		Message: fmt.Sprintf("%s: silent since port %d/%s was asked (%s); not probed until %s",
			h.addr, o.Port, o.Transport, strings.Join(o.Asked, ", "), s.clock.WallAt(q.until).UTC().Format(time.RFC3339))}
	s.record(ctx, e)
}

// forgive takes the endpoints of a host out of what sweeps under way must have
// visited to be complete: they prove nothing of it.
func (s *Sensor) forgive(ctx context.Context, h hostID) {
	for k, d := range s.owed {
		if hostOf(k) != h {
			continue
		}
		delete(s.owed, k)
		for _, of := range d.parts {
			of.pass.leaveOut(h.addr)
			s.paid(ctx, of)
		}
	}
}

// recovered tells that a host which was left alone is there again.
func (s *Sensor) recovered(ctx context.Context, h hostID, o *probes.Observation) {
	q, ok := s.resting[h]
	if !ok || o.State != probes.Open && o.Outcome != probes.OutcomeRefused {
		return
	}
	delete(s.resting, h)
	s.reconsider(h)
	s.record(ctx, event.Event{Action: event.HostRecovered, Cause: event.CauseTarget, Watch: q.watch,
		Zone: h.zone, Endpoint: o, ObservedAt: o.At, Message: fmt.Sprintf("%s: answers again", h.addr)})
}

func (s *Sensor) record(ctx context.Context, e event.Event) {
	if err := s.cfg.Inventory.Record(ctx, e); err != nil {
		s.cfg.Log.Error("event not stored", "action", e.Action, "message", e.Message, "err", err)
	}
}

// quarantined gives the hosts of a zone that a sweep must leave out.
func (s *Sensor) quarantined(zone string) (list []netip.Prefix) {
	now := s.now()
	for h, q := range s.resting {
		if h.zone == zone && now.Before(q.until) {
			list = append(list, hostPrefix(h.addr))
		}
	}
	return list
}

// leaveOut notes, once, that the pass proves nothing of a host.
func (p *pass) leaveOut(a netip.Addr) {
	if h := hostPrefix(a); !slices.Contains(p.resting, h) {
		p.resting = append(p.resting, h)
	}
}

func hostPrefix(a netip.Addr) netip.Prefix {
	a = a.WithZone("")
	return netip.PrefixFrom(a, a.BitLen())
}

// among gives the test whether an address is one of the hosts, nil for none.
func among(hosts []netip.Prefix) func(netip.Addr) bool {
	if len(hosts) == 0 {
		return nil
	}
	set := map[netip.Addr]bool{}
	for _, p := range hosts {
		set[p.Addr()] = true
	}
	return func(a netip.Addr) bool { return set[a.WithZone("")] }
}

// loadDistress takes up again the quarantines that were told before a restart.
func (s *Sensor) loadDistress(ctx context.Context) error {
	told, err := s.cfg.Inventory.Distress(ctx, s.cfg.Now().Add(-s.cfg.Quarantine))
	if err != nil {
		return err
	}
	for _, d := range told {
		h := hostID{d.Zone, d.Addr}
		if d.Over {
			delete(s.resting, h)
			continue
		}
		q := quarantine{watch: d.Watch, until: s.clock.Ago(d.At).Add(s.cfg.Quarantine)}
		if s.cfg.Orders != nil && !s.cfg.Orders.Released(event.Host{Zone: d.Zone, Addr: d.Addr}).Before(d.At) {
			q.until = s.now()
		}
		s.resting[h] = q
	}
	maps.DeleteFunc(s.resting, func(_ hostID, q quarantine) bool { return s.watches[q.watch] == nil })
	for h := range s.resting {
		s.reconsider(h)
	}
	return nil
}
