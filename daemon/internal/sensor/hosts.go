package sensor

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"sonde/capture"
	"sonde/daemon/internal/event"
	"sonde/daemon/internal/schedule"
	"sonde/probes"
)

// A host that is seen is a hint, as a service is: ARP, neighbour discovery,
// DHCP and mDNS are forged by whoever is on the link. What it may cause is
// bounded for each host, and for each watch:
//
//   - One that was not seen before, or not for long, or had a service that went
//     away, has all its ports asked now: a round. In each discover_every of a
//     watch rounds ask one in freshShare of its addresses at most, and
//     freshLeast if that is more; and settleAfter later once more, as a host that
//     starts shows itself before it serves anything. So a flood of forged
//     sightings costs a quarter of a sweep, twice that in a span that falls badly.
//   - Services that are known there, and that fail or were not asked within
//     verify_every, are asked now: once in remindEvery for each host.
const (
	freshShare  = 8
	freshLeast  = 32
	remindEvery = time.Minute
	settleAfter = 2 * time.Minute

	// awayLeast: a host that was not seen for so long, and for two sweeps, is as
	// good as new. What is there shows itself in each sweep of its link.
	awayLeast = 30 * time.Minute

	// roundsMost is how many rounds may be under way. Each takes all hosts of
	// its watch that wait.
	roundsMost = 4

	// hostsMost bounds the hosts whose last sighting is remembered: 65,536 are
	// some 10 MiB. Beyond, one makes room that was not seen for long: the oldest
	// of hostsAmong that a map yields, which is among the oldest fifth with 97 %.
	hostsMost  = 1 << 16
	hostsAmong = 16
)

// A heardHost is what sightings said of a host.
type heardHost struct {
	seen     time.Time // last
	reminded time.Time // when its known services were made due
}

// A freshness is the hosts of a watch that wait for their round.
type freshness struct {
	waiting []netip.Addr
	later   []settling // to be asked once more, in the order of their time
	from    time.Time  // of the span that is counted
	taken   int        // hosts in it
}

// SightedHost takes that a host of a watch was seen, on whatever port. It does
// not block: what the loop has no room for is counted, and is seen again. Any
// goroutine may call it.
func (s *Sensor) SightedHost(watch string, a netip.Addr) { s.Sighted(watch, a, "", 0) }

// holds says whether an address is in the scope of the watch.
func (w *Watch) holds(a netip.Addr) bool {
	return slices.ContainsFunc(w.Sweeps, func(sw Sweep) bool {
		return len(sw.Plan.Ports) > 0 && w.Contains(a, sw.Transport, sw.Plan.Ports[0])
	})
}

// away is how long a host must not have been seen to be as good as new.
func (w *Watch) away() time.Duration { return max(awayLeast, 2*w.discoverEvery()) }

// A settling is a host that may just have been started.
type settling struct {
	addr netip.Addr
	due  time.Time
}

// freshMost is how many hosts may have a round in one discover_every.
func (w *Watch) freshMost() int {
	n := uint64(w.HostsMost)
	if len(w.Sweeps) > 0 {
		n += w.Sweeps[0].Plan.Addrs.Len()
	}
	return int(max(freshLeast, min(n, hostsMost)/freshShare))
}

// passHost looks at the sighting of a host.
func (s *Sensor) passHost(w *Watch, a netip.Addr) {
	h := hostID{w.Zone, a}
	if !w.holds(a) || !s.rested(h).IsZero() {
		return
	}
	now := s.now()
	was, there := s.heard[h]
	known := s.remind(h, &was, now)
	gone := there && now.Sub(was.seen) > w.away()
	was.seen = now
	// What a first sweep will ask anyway has no round of its own.
	if (!there && !known || gone) && s.sweptOnce(w) && !s.freshen(w, a, now) {
		return // not remembered, so that it is new when it is seen again
	}
	if !there && len(s.heard) >= hostsMost {
		s.forgetOldest()
	}
	s.heard[h] = was
}

// sweptOnce says whether each sweep of a watch was complete once.
func (s *Sensor) sweptOnce(w *Watch) bool {
	return !slices.ContainsFunc(w.Sweeps, func(sw Sweep) bool {
		_, ok := s.last[sweepID(w, &sw)]
		return !ok
	})
}

// remind makes the known services of a host due that need it, and says whether
// there is any known service.
func (s *Sensor) remind(h hostID, was *heardHost, now time.Time) bool {
	if !s.known.has(h) || now.Sub(was.reminded) < remindEvery {
		return s.known.has(h)
	}
	was.reminded = now
	for key, k := range s.known.services(h) {
		// One that refuses us does not do so for want of its host, and is not to be
		// asked more often for it.
		well := k.fails == 0 || k.outcome == probes.OutcomeBlocked
		if well && now.Sub(k.visited) <= s.everyOf(key, &k) {
			continue
		}
		s.queue.Put(schedule.Entry{ID: schedule.ID{Key: key}, Watch: k.watch, Kind: schedule.Verify,
			Due: now, Late: now}, now)
	}
	return true
}

// freshen has all ports of a host asked, unless its watch had its share.
func (s *Sensor) freshen(w *Watch, a netip.Addr, now time.Time) bool {
	f := s.fresh[w.Name]
	if f == nil {
		f = &freshness{}
		s.fresh[w.Name] = f
	}
	if now.Sub(f.from) >= w.discoverEvery() {
		f.from, f.taken = now, 0
	}
	if f.taken >= w.freshMost() {
		s.missed.Add(1)
		return false
	}
	f.taken++
	f.waiting, f.later = append(f.waiting, a), append(f.later, settling{a, now.Add(settleAfter)})
	return true
}

func (s *Sensor) forgetOldest() {
	var oldest hostID
	looked := 0
	for h, x := range s.heard {
		if looked == 0 || x.seen.Before(s.heard[oldest].seen) {
			oldest = h
		}
		if looked++; looked == hostsAmong {
			break
		}
	}
	delete(s.heard, oldest)
}

// startRounds begins the rounds that wait, as far as there is room.
func (s *Sensor) startRounds(ctx context.Context) {
	for name, f := range s.fresh {
		if s.rounds >= roundsMost || ctx.Err() != nil {
			return
		}
		for len(f.later) > 0 && !s.now().Before(f.later[0].due) {
			f.waiting, f.later = append(f.waiting, f.later[0].addr), f.later[1:]
		}
		if len(f.waiting) == 0 || s.admitted[name].shut != "" {
			continue
		}
		list := f.waiting
		f.waiting = nil
		s.startRound(ctx, s.watches[name], list)
	}
}

// startRound asks all ports of some hosts.
func (s *Sensor) startRound(ctx context.Context, w *Watch, hosts []netip.Addr) {
	s.rounds++
	s.cfg.Log.Info("hosts are asked as they were seen", "watch", w.Name, "hosts", len(hosts), "first", hosts[0])
	skip := s.admitted[w.Name].gate.skip(ctx, among(s.quarantined(w.Zone)))
	s.running.Go(func() {
		for i := range w.Sweeps {
			plan := w.Sweeps[i].Plan
			plan.Addrs, plan.Seed, plan.Skip = hostList(hosts), rand.Uint64(), skip
			_, err := w.Sweeper.Sweep(ctx, plan, s.yield(ctx, sighting{watch: w}))
			if err != nil && ctx.Err() == nil {
				s.cfg.Log.Error("hosts not asked", "watch", w.Name, "transport", w.Sweeps[i].Transport, "err", err)
			}
		}
		select {
		case s.rounded <- struct{}{}:
		case <-ctx.Done():
		}
	})
}

// hostList is a few addresses as a plan takes them. Which is where does not
// matter, but each is there once.
type hostList []netip.Addr

func (l hostList) Len() uint64            { return uint64(len(l)) }
func (l hostList) At(i uint64) netip.Addr { return l[i] }
func (l hostList) Index(a netip.Addr) (uint64, bool) {
	i := slices.Index(l, a)
	return uint64(max(i, 0)), i >= 0
}

// yield gives what hands the finds of a sweep to the loop, as of. It may be
// called until ctx ends.
func (s *Sensor) yield(ctx context.Context, of sighting) func(capture.Reply) {
	return func(r capture.Reply) {
		if r.Kind == capture.Silent || r.Kind == capture.Unreachable {
			return // the pass itself proves what is absent, visits what is gone
		}
		of.reply = r
		s.hand(ctx, of)
	}
}

func (s *Sensor) hand(ctx context.Context, x sighting) {
	select {
	case s.seen <- x:
	case <-ctx.Done():
	}
}

// keep holds what is known of a service.
func (s *Sensor) keep(key event.Key, k *known) {
	s.known.put(key, k, s.everyOf(key, k), !s.rested(hostOf(key)).IsZero())
	if w := s.watches[k.watch]; w.Heard != nil {
		w.Heard(key.Addr)
	}
}

// drop forgets a service that is gone. When its host is seen again, it is as
// good as new.
func (s *Sensor) drop(key event.Key) {
	if s.known.drop(key) {
		delete(s.heard, hostOf(key))
	}
}

// reconsider counts the services of a host anew, when it is asked more or less
// often from now on, or left alone, or no longer.
func (s *Sensor) reconsider(h hostID) {
	for key, k := range s.known.services(h) {
		s.known.put(key, &k, s.everyOf(key, &k), !s.rested(h).IsZero())
	}
}
