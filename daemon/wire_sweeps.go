package main

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"sonde/capture"
	"sonde/capture/sweep"
	"sonde/config"
	"sonde/daemon/internal/budget"
	"sonde/daemon/internal/sent"
	"sonde/probes"
	"sonde/probes/ports"
)

// sweeps makes what discovers: one discoverer for each set of permissions, as
// these decide which datagrams are sent, all within one budget.
type sweeps struct {
	made  map[probes.Needs]discoverer
	raw   []*packetSweep // of these
	meter *meter
}

// newSweeps makes the discovery of a configuration. It opens nothing yet.
func newSweeps(cfg *config.Config, how method, net *network, lim *budget.Limiter, db *probes.Database,
	kept *sent.Log, log *slog.Logger) *sweeps {
	s := &sweeps{made: map[probes.Needs]discoverer{}}
	s.meter = &meter{now: time.Now, sent: func() uint64 { return s.totals().Sent }}
	l := ofConfig(&cfg.Limits)
	asOnce := 0 // that may run at once: one per watch and transport
	for i := range cfg.Watches {
		w := &cfg.Watches[i]
		for _, set := range []ports.Set{w.TCPPorts, w.UDPPorts} {
			if !set.IsEmpty() {
				asOnce++
			}
		}
		s.made[mannerOf(w).allow.Needs()] = nil
	}
	all := slices.Sorted(maps.Keys(s.made))
	hosts := hostPace{lim, sweep.NewHosts(l.hostPackets)}
	for i, allow := range all {
		connects := loggedConnects(newSweeper(&l, asOnce, net, lim, db, allow, log), kept)
		if how.name != config.SYN {
			s.made[allow] = connects
			continue
		}
		sources := portsOf(cfg.Discovery.SourcePorts, i, len(all))
		p := &packetSweep{routes: net.routes, meter: s.meter, config: sweep.Config{
			SourcePorts: sources, Pace: lim, Hosts: hosts,
			Tries: l.tries, RetryAfter: l.timeout, Payloads: payloadsOf(db, allow), Log: log,
			Notify: func(e sweep.Event) { net.outages.set(e.Interface, reasonOf(e)) }}}
		s.raw = append(s.raw, p)
		s.made[allow] = splitDiscoverer{loggedSweeps(p, kept, sources), connects}
	}
	return s
}

// of gives the discoverer with these permissions.
func (s *sweeps) of(allow probes.Needs) discoverer { return s.made[allow] }

// totals are the packets of all sweeps.
func (s *sweeps) totals() (sum capture.Packets) {
	for _, p := range s.raw {
		t := p.totals()
		sum.Sent, sum.Resets, sum.Received = sum.Sent+t.Sent, sum.Resets+t.Resets, sum.Received+t.Received
		sum.Validated, sum.Spoofed = sum.Validated+t.Validated, sum.Spoofed+t.Spoofed
		sum.Duplicates, sum.Dropped = sum.Duplicates+t.Duplicates, sum.Dropped+t.Dropped
		sum.Repeated += t.Repeated
	}
	return sum
}

// busy is how long what sends, or takes the answers, has been at one thing.
func (s *sweeps) busy() (most time.Duration) {
	for _, p := range s.raw {
		most = max(most, p.busy())
	}
	return most
}

// count tells what was sent and received. Without sweeps by packets there is
// nothing to be told.
func (s *sweeps) count(into map[string]int) {
	if len(s.raw) == 0 {
		return
	}
	t := s.totals()
	t.Rate = s.meter.rate()
	countPackets(into, t)
}

// Close ends all sweeps by packets.
func (s *sweeps) Close() error {
	var err error
	for _, p := range s.raw {
		err = errors.Join(err, p.Close())
	}
	return err
}

// payloadsOf gives the datagrams that may draw an answer from a UDP port.
func payloadsOf(db *probes.Database, allow probes.Needs) func(port uint16) [][]byte {
	return func(port uint16) [][]byte {
		var out [][]byte
		for _, p := range db.UDPPayloads(port, allow) {
			out = append(out, p.Payload)
		}
		return out
	}
}

// reasonOf gives why an interface was lost, or "" when it is back.
func reasonOf(e sweep.Event) string {
	if e.Lost {
		return e.Reason
	}
	return ""
}

var _ discoverer = (*capture.Connect)(nil)
