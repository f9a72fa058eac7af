//go:build lab || bench

package probebench

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"sonde/probes"
)

// labClient is the address of the lab's clients, on its bridge.
var labClient = countSpec{Interface: "br0", Client: netip.MustParseAddr("198.18.0.1")}

// TestRevisit: one connection and at most one probe per unchanged service.
func TestRevisit(t *testing.T) {
	measureRevisit(t)
}

// measureRevisit visits the whole lab twice and counts on the wire what the
// second time takes. It gives the connections per unchanged service.
func measureRevisit(t *testing.T) float64 {
	first := visitAll(t, jobs(theLab(t)), 1)
	var again []job
	var before []visited
	for _, rounds := range first.Visits {
		v := rounds[0]
		if v.Strength == probes.Hard || v.Strength == probes.Soft {
			again = append(again, job{v.Addr, v.Port, v.Transport, v.recall()})
			before = append(before, v)
		}
	}
	wire := start(t, labNamespace, "count", labClient, nil)
	second := visitAll(t, again, 1)
	var counted countResult
	wire.stop(&counted)
	if counted.Lost > 0 {
		t.Fatalf("the counter lost %d packets", counted.Lost)
	}
	seen := map[key][]*conversation{}
	for _, c := range counted.Conversations {
		seen[c.key()] = append(seen[c.key()], c)
	}
	services, connections := 0, 0
	for i, rounds := range second.Visits {
		v := rounds[0]
		if identityOf(&before[i].Observation) != identityOf(&v.Observation) {
			t.Logf("%v changed: %+v, then %+v %s", v.key(), identityOf(&before[i].Observation),
				identityOf(&v.Observation), v.Outcome)
			continue
		}
		services++
		connections += checkRevisit(t, &v, seen[v.key()])
	}
	t.Logf("%d of %d services unchanged, %d connections", services, len(again), connections)
	if services < len(again)*9/10 {
		t.Errorf("only %d of %d services were the same at the second visit", services, len(again))
	}
	return float64(connections) / float64(max(1, services))
}

// maxRecords is what the records of one probe, one goodbye and one closing
// alert add.
const maxRecords = 3 * (5 + 8 + 16)

// checkRevisit compares what the wire showed of one revisit with the promise
// and with what the visit says itself: what is said is the probe and, counted
// apart, the goodbye. It gives the number of connections.
func checkRevisit(t *testing.T, v *visited, seen []*conversation) int {
	t.Helper()
	said, out, in := 0, 0, 0
	for _, c := range seen {
		said += c.said()
		out += c.Out
		in += c.In
	}
	if len(seen) != 1 || said-v.Goodbyes > 1 || v.Goodbyes > len(seen) {
		t.Errorf("%v %s by %s: %d connections, %d times said something and %d of them goodbye, want 1 and at most 1 beside that%s",
			v.key(), v.Service, v.Probe, len(seen), said, v.Goodbyes, flightsOf(seen))
	}
	if v.Goodbyes > 0 && !leftPolitely(v, seen) {
		t.Errorf("%v %s: the visit says that it said goodbye, the wire does not%s", v.key(), v.Service, flightsOf(seen))
	}
	// Inside a tunnel cost counts what was said, the wire its records too.
	slack := 0
	if v.Tunnel != probes.NoTunnel {
		slack = maxRecords
	}
	c := v.Cost
	if c.Connections != len(seen) || c.Probes+v.Goodbyes != said || c.BytesOut > out || c.BytesOut+slack < out || c.BytesIn > in {
		t.Errorf("%v %s: the wire shows %d connections, %d times said something, %d bytes out, %d in; cost says %d, %d and %d goodbyes, %d, %d%s",
			v.key(), v.Service, len(seen), said, out, in, c.Connections, c.Probes, v.Goodbyes, c.BytesOut, c.BytesIn, flightsOf(seen))
	}
	return len(seen)
}

// leftPolitely tells whether the last words of a connection were the protocol's
// goodbye, as far as they can be read.
func leftPolitely(v *visited, seen []*conversation) bool {
	goodbye := probes.Goodbye(v.Service, probes.NeedCredentials) // which the lab is asked with
	return slices.ContainsFunc(seen, func(c *conversation) bool {
		n := len(c.Flights)
		return n > 0 && len(goodbye) > 0 && (isHello(c.Flights[0]) || bytes.Equal(c.Flights[n-1], goodbye))
	})
}

// flightsOf shows what was sent.
func flightsOf(seen []*conversation) string {
	var b bytes.Buffer
	for _, c := range seen {
		for _, f := range c.Flights {
			b.WriteString(" | ")
			b.WriteString(probes.Bytes(f[:min(len(f), 40)]).String())
		}
		b.WriteString(" ;")
	}
	return b.String()
}

// visitAll visits endpoints of the lab, many at once.
func visitAll(t *testing.T, list []job, rounds int) visitResult {
	t.Helper()
	var r visitResult
	start(t, labNamespace, "visit", visitSpec{Jobs: list, Rounds: rounds, Parallel: 64, PerHost: 4}, nil).wait(&r)
	return r
}
