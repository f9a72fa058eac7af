package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"sonde/capture"
	"sonde/capture/sweep"
	"sonde/config"
	"sonde/daemon/internal/budget"
	"sonde/daemon/internal/sent"
	"sonde/probes"
	"sonde/probes/ports"
)

// sweeps makes what discovers: one discoverer for each lane, all within one
// budget.
type sweeps struct {
	made  map[lane]discoverer
	raw   []*packetSweep // of these
	meter *meter
}

// A lane is what watches must have in common to be swept by one discoverer: the
// permissions decide which datagrams are sent, the interface where they go, so
// that the answers of two networks with the same addresses come to two of them.
type lane struct {
	allow probes.Needs
	via   string // interface; "": as the routes say
}

func laneOf(w *config.Watch) lane { return lane{mannerOf(w).allow.Needs(), w.Interface} }

// lanesOf gives the lanes of a configuration in order. Each takes a part of the
// source ports.
func lanesOf(cfg *config.Config) (list []lane) {
	for i := range cfg.Watches {
		if l := laneOf(&cfg.Watches[i]); !slices.Contains(list, l) {
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b lane) int {
		return cmp.Or(strings.Compare(a.via, b.via), cmp.Compare(a.allow, b.allow))
	})
	return list
}

// leastPorts is how many source ports a lane needs, as the payloads of a UDP port
// go from one each: the least range has so many for each set of permissions.
const leastPorts = 2

// enoughPorts says why the source ports are too few for so many lanes.
func enoughPorts(r config.PortRange, lanes int) error {
	if have := int(r.Last) - int(r.First) + 1; have < leastPorts*lanes {
		return fmt.Errorf("discovery.source_ports %s are too few for all interfaces and permissions of the watches; "+
			"write %d ports at least", r, leastPorts*lanes)
	}
	return nil
}

// newSweeps makes the discovery of a configuration. It opens nothing yet.
func newSweeps(cfg *config.Config, how method, net *network, lim *budget.Limiter, db *probes.Database,
	kept *sent.Log, log *slog.Logger) (*sweeps, error) {
	s := &sweeps{made: map[lane]discoverer{}}
	s.meter = &meter{now: time.Now, sent: func() uint64 { return s.totals().Sent }}
	l, all := ofConfig(&cfg.Limits), lanesOf(cfg)
	if how.name == config.SYN {
		if err := enoughPorts(cfg.Discovery.SourcePorts, len(all)); err != nil {
			return nil, err
		}
	}
	asOnce := sweepsAtOnce(cfg)
	hosts := hostPace{lim, sweep.NewHosts(l.hostPackets)}
	for i, by := range all {
		connects := loggedConnects(newSweeper(&l, asOnce, net, lim, db, by, log), kept, by.via)
		if how.name != config.SYN {
			s.made[by] = connects
			continue
		}
		sources := portsOf(cfg.Discovery.SourcePorts, i, len(all))
		p := &packetSweep{routes: net.routes, meter: s.meter, config: sweep.Config{
			Interface: by.via, SourcePorts: sources, Pace: lim, Hosts: hosts,
			Tries: l.tries, RetryAfter: l.timeout, Payloads: payloadsOf(db, by.allow), Log: log,
			Notify: func(e sweep.Event) { net.outages.set(e.Interface, reasonOf(e)) }}}
		s.raw = append(s.raw, p)
		s.made[by] = splitDiscoverer{loggedSweeps(p, kept, sources, by.via), connects}
	}
	return s, nil
}

// sweepsAtOnce is how many sweeps may run at once: one per watch and transport.
func sweepsAtOnce(cfg *config.Config) (n int) {
	for i := range cfg.Watches {
		w := &cfg.Watches[i]
		for _, set := range []ports.Set{w.TCPPorts, w.UDPPorts} {
			if !set.IsEmpty() {
				n++
			}
		}
	}
	return n
}

// of gives the discoverer of a lane.
func (s *sweeps) of(by lane) discoverer { return s.made[by] }

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
