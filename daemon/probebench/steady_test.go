//go:build lab || bench

package probebench

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"sonde/probes"
)

// settle is the silence that ends an answer; a gap below it is none. The
// longest gaps stay clear of it by what a saturated machine adds to a sleep.
const (
	settle   = 400 * time.Millisecond
	shortGap = settle / 8
	longGap  = settle + settle/2
)

// tcpOf gives the TCP endpoints of the lab.
func tcpOf(all []truth) []truth {
	return slices.DeleteFunc(slices.Clone(all), func(tr truth) bool { return tr.Transport != probes.TCP })
}

// cutter puts the proxy in front of the lab and gives the addresses to scan.
func cutter(t *testing.T, all []truth, gap, longer time.Duration, seed int) []string {
	t.Helper()
	spec := cutSpec{Gap: gap, Long: longer, Seed: uint64(seed)}
	var aliases []string
	for _, tr := range all {
		spec.Endpoints = append(spec.Endpoints, netip.AddrPortFrom(tr.Addr, tr.Port))
		if a := alias(tr.Addr).String(); !slices.Contains(aliases, a) {
			aliases = append(aliases, a)
		}
	}
	start(t, labNamespace, "cut", spec, nil)
	return aliases
}

// seenAt gives what was found at an endpoint of the lab, or at its alias.
func seenAt(s scanned, k key) (*probes.Observation, bool) {
	o, ok := s.found[k]
	if !ok && k.Transport == probes.TCP {
		k.Addr = alias(k.Addr)
		o, ok = s.found[k]
	}
	return o, ok
}

// restless are the boxes whose server is another one after each connection.
var restless = map[string]string{
	"openvpn": "it serves one peer at a time, and restarts when that leaves",
}

// TestSteady: the lab is the same in each scan, straight or cut into random
// segments, on an idle machine or a busy one.
func TestSteady(t *testing.T) {
	all := theLab(t)
	runs := number("SONDE_STEADY_RUNS", 4)
	var scans []scanned
	for i := range runs {
		t.Run(fmt.Sprint("run", i), func(t *testing.T) {
			if i%4 >= 2 { // two idle runs, two busy ones
				start(t, "", "burn", struct{}{}, nil)
			}
			seen := all
			targets := addressesOf(all)
			if i%2 == 1 {
				seen = tcpOf(all) // datagrams have no segments to cut
				targets = cutter(t, seen, shortGap, 0, i)
			}
			s := scanIn(t, labNamespace, fmt.Sprintf("steady-%d.json", i), targets, portsOf(seen),
				slices.Concat(allowAll, fastScan)...)
			t.Logf("%v", s.took.Round(100*time.Millisecond))
			scans = append(scans, s)
		})
	}
	differences := 0
	for _, tr := range all {
		if why := restless[tr.Box]; why != "" {
			t.Logf("%s %v: left out, as %s", tr.Box, tr.key(), why)
			continue
		}
		var first *probes.Observation
		for i, s := range scans {
			o, ok := seenAt(s, tr.key())
			switch {
			case ok && o.Outcome == probes.OutcomeBlocked:
				t.Logf("%s %v: run %d was turned away: %s", tr.Box, tr.key(), i, o.Reason)
			case !ok && (first == nil || i%2 == 1 && tr.Transport == probes.UDP):
			case !ok:
				differences++
				t.Errorf("%s %v: run %d did not find it", tr.Box, tr.key(), i)
			case first == nil:
				first = o
			case identityOf(o) != identityOf(first):
				differences++
				t.Errorf("%s %v: run %d says %s %+v, an earlier one %s %+v", tr.Box, tr.key(), i,
					o.Outcome, identityOf(o), first.Outcome, identityOf(first))
			}
		}
	}
	t.Logf("%d scans of %d endpoints: %d differences", len(scans), len(all), differences)
}

// TestUnsteadyPath: where answers come with gaps that look like their end, or
// packets are lost, less may be known, but nothing else.
func TestUnsteadyPath(t *testing.T) {
	all := theLab(t)
	// The address of the client makes a difference to some servers, so each is
	// compared with a scan from where it stands.
	options := slices.Concat(allowAll, fastScan)
	t.Run("gaps", func(t *testing.T) {
		near := func() scanned {
			return scanIn(t, labNamespace, "gaps-none.json", addressesOf(all), portsOf(all), options...)
		}
		straight := near()
		for i := range number("SONDE_UNSTEADY_RUNS", 1) {
			t.Run(fmt.Sprint("run", i), func(t *testing.T) {
				s := scanIn(t, labNamespace, fmt.Sprintf("gaps-%d.json", i), cutter(t, tcpOf(all), shortGap, longGap, 100+i),
					portsOf(tcpOf(all)), options...)
				compareWeaker(t, tcpOf(all), straight, s, near)
			})
		}
	})
	t.Run("loss", func(t *testing.T) {
		place := farAway(t, time.Millisecond, 0)
		near := func() scanned {
			return scanIn(t, place, "loss-none.json", addressesOf(all), portsOf(all), options...)
		}
		straight := near()
		for i := range number("SONDE_UNSTEADY_RUNS", 1) {
			s := scanIn(t, farAway(t, time.Millisecond, 5), fmt.Sprintf("loss-%d.json", i), addressesOf(all), portsOf(all), options...)
			compareWeaker(t, all, straight, s, near)
		}
	})
}

// compareWeaker allows a scan to know less than another, but not to know
// something else. Servers that limit how often they answer may have told the
// straight scan less: what differs is compared with another, made by again.
func compareWeaker(t *testing.T, all []truth, straight, s scanned, again func() scanned) {
	t.Helper()
	same, less := 0, map[probes.Outcome]int{}
	var differs []truth
	for _, tr := range all {
		want, ok := seenAt(straight, tr.key())
		if !ok || !believed(want) {
			continue
		}
		got, ok := seenAt(s, tr.key())
		switch {
		case !ok:
			less["not found"]++
		case identityOf(got) == identityOf(want):
			same++
		case contradicts(got, want):
			t.Logf("differs: %s %v: %s %+v, straight %+v", tr.Box, tr.key(), got.Outcome, identityOf(got), identityOf(want))
			differs = append(differs, tr)
		default:
			t.Logf("less: %s %v: %s %+v, straight %+v", tr.Box, tr.key(), got.Outcome, identityOf(got), identityOf(want))
			less[got.Outcome]++
		}
	}
	t.Logf("%v: %d the same, less is known of %v", s.took.Round(100*time.Millisecond), same, less)
	if len(differs) == 0 {
		return
	}
	straight = again()
	for _, tr := range differs {
		got, _ := seenAt(s, tr.key())
		if want, ok := seenAt(straight, tr.key()); !ok || contradicts(got, want) {
			t.Errorf("%s %v: %s %+v, and straight something else twice", tr.Box, tr.key(), got.Outcome, identityOf(got))
		}
	}
}

// contradicts tells whether an observation names another product or version.
func contradicts(got, want *probes.Observation) bool {
	return believed(got) && (got.Product != "" && got.Product != want.Product ||
		got.Version != "" && got.Version != want.Version)
}
