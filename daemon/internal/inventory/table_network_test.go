package inventory

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sonde/daemon/internal/event"
)

// runNetwork judges the case by a store, as rules about hosts and watches look
// at many endpoints.
func (c *tableCase) runNetwork(t *testing.T) {
	clock := newClock()
	s := openStore(t, t.TempDir(), clock)
	s.SetRules(c.rules, nil)
	for _, step := range c.steps {
		before := s.seq
		if step.pass != nil {
			if err := s.PassDone(t.Context(), *step.pass); err != nil {
				t.Fatal(err)
			}
			continue
		}
		clock.at = step.visit.At
		after := mustApply(t, s, step.visits...)
		events := allEvents(t, s.Reader)
		at := slices.IndexFunc(events, func(e event.Event) bool { return e.Seq > before })
		if at < 0 {
			at = len(events)
		}
		step.checkEvents(t, events[at:])
		step.checkStanding(t, after[0].Status, after[0].Next)
	}
}

// sweep adds a pass over all that a case of a network may have.
func (r *tableReader) sweep(degraded bool) {
	if !r.last().network {
		return
	}
	p := Pass{Watch: "w", Zone: "default", Targets: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		Ports: "1-65535", Started: r.swept, Done: r.swept, Degraded: degraded}
	r.last().steps = append(r.last().steps, &tableStep{line: r.line, pass: &p})
}

func (r *tableReader) last() *tableCase { return r.cases[len(r.cases)-1] }

// spread makes the visit one to each host and port that it names.
func (r *tableReader) spread(v Visit) (list []Visit) {
	hosts, ports, _ := strings.Cut(r.at, ":")
	for _, h := range r.numbers(hosts) {
		for _, p := range r.numbers(ports) {
			one := v
			one.Key.Addr = netip.AddrFrom4([4]byte{192, 0, 2, byte(h)})
			one.Key.Port = uint16(p)
			one.AbsentAt = v.AbsentAt
			list = append(list, one)
		}
	}
	return list
}

// numbers reads "1-3" or "22,80".
func (r *tableReader) numbers(s string) (list []int) {
	for part := range strings.SplitSeq(s, ",") {
		if part == "" {
			continue
		}
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		a, err1 := strconv.Atoi(first)
		b, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil {
			r.t.Fatalf("%s:%d: %q are no numbers", r.path, r.line, s)
		}
		for n := a; n <= b; n++ {
			list = append(list, n)
		}
	}
	return list
}

// networkValue gives what an event says beyond its endpoint.
func networkValue(e *event.Event, key string) (string, bool) {
	switch key {
	case "addr":
		return e.Endpoint.Addr.String(), true
	case "services":
		return strconv.Itoa(e.ServicesCount), true
	case "mac":
		return e.MAC, true
	case "vlan":
		return strconv.Itoa(e.VLAN), true
	case "zone":
		return e.Zone, true
	case "watch":
		return e.Watch, true
	case "schema":
		return e.Schema, true
	case "known", "hosts", "endpoints":
		return strconv.Itoa(e.Counts[key]), true
	}
	return "", false
}

// rules are the numbered rules of the change contract that the table shows.
var contract = []string{"1.1", "1.2", "1.3", "1.4", "1.5", "2", "3", "4", "5.1", "5.2", "5.3", "5.4", "6", "7", "8"}

// TestEachRuleHasCases names the rules that no case shows, and the cases that
// name no rule.
func TestEachRuleHasCases(t *testing.T) {
	count := map[string]int{}
	number := regexp.MustCompile(`^([0-9.]+): .`)
	for _, c := range readTable(t, "testdata/decide.txt") {
		m := number.FindStringSubmatch(c.name)
		if m == nil || !slices.Contains(contract, m[1]) {
			t.Errorf("case %q names no rule", c.name)
			continue
		}
		count[m[1]]++
	}
	for _, rule := range contract {
		if count[rule] == 0 {
			t.Errorf("rule %s has no case", rule)
		}
	}
}

// TestEachActionHasCases: every action that a decision makes is told in the
// table, and every cause.
func TestEachActionHasCases(t *testing.T) {
	told := map[string]bool{}
	for _, c := range readTable(t, "testdata/decide.txt") {
		for _, s := range c.steps {
			for _, want := range s.tells {
				told[want["action"]] = true
				told["cause "+want["cause"]] = true
			}
		}
	}
	for _, a := range event.Actions() {
		of, _, _ := strings.Cut(string(a), ".")
		elsewhere := []event.Action{event.WatchBaselined, event.WatchRetired, event.WatchOverdue, event.HostDistress}
		if of != "sensor" && !slices.Contains(elsewhere, a) && !told[string(a)] {
			t.Errorf("no case tells %s", a)
		}
	}
	for _, cause := range []event.Cause{event.CauseTarget, event.CauseDatabase, event.CauseEngine,
		event.CauseConfig, event.CausePath, event.CauseSelf} {
		if !told[fmt.Sprintf("cause %s", cause)] {
			t.Errorf("no case tells the cause %s", cause)
		}
	}
}
