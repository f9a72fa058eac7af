package main

import (
	"context"
	"errors"
	"iter"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sonde/capture"
	"sonde/config"
)

func host6(n byte) netip.Addr {
	a := netip.MustParseAddr("fd00::").As16()
	a[15] = n
	return netip.AddrFrom16(a)
}

func bookOf(most int) *hostBook {
	return newHostBook(config.NewAddrSet(config.PrefixRange(netip.MustParsePrefix("fd00::/64"))), most, time.Now)
}

// What is only seen never pushes out who answered, nor fills the book beyond its
// limit; what is not seen for a day leaves.
func TestHostBook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bookOf(4)
		for i := byte(1); i <= 2; i++ {
			if !b.add(host6(i), true) {
				t.Errorf("no room for %d", i)
			}
		}
		if b.add(netip.MustParseAddr("fd01::1"), true) || b.add(netip.MustParseAddr("10.0.0.1"), true) {
			t.Error("a stranger is in the book")
		}
		for i := byte(10); i < 100; i++ { // forged
			b.add(host6(i), false)
			time.Sleep(time.Second)
		}
		list := b.list()
		if len(list) != 4 || list[0] != host6(1) || list[1] != host6(2) {
			t.Errorf("kept %v", list)
		}
		b.add(host6(3), true)
		b.add(host6(4), true)
		if b.add(host6(5), false) || b.add(host6(6), true) {
			t.Error("room beyond the limit")
		}
		if left := b.searched(nil); left != 2 {
			t.Errorf("%d were left out, want 2", left)
		}
		time.Sleep(bookKeep / 2)
		b.add(host6(2), false) // it stays proven
		time.Sleep(bookKeep/2 + time.Hour)
		if got := b.list(); !slices.Equal(got, []netip.Addr{host6(2)}) {
			t.Errorf("after a day: %v", got)
		}
	})
}

// asker is a discoverer that notes what it is asked.
type asker struct {
	plans []capture.Plan
	each  func()
	err   error
}

func (a *asker) Sweep(_ context.Context, p capture.Plan, _ func(capture.Reply)) (capture.Stats, error) {
	a.plans = append(a.plans, p)
	if a.each != nil {
		a.each()
	}
	return capture.Stats{Targets: p.Addrs.Len()}, a.err
}

func (a *asker) Look(context.Context, iter.Seq[capture.Target], func(capture.Reply)) (capture.Stats, error) {
	return capture.Stats{}, nil
}

// A sweep waits for the first search, walks what can be walked from where it was
// to begin, and asks the hosts that are known then, those that come meanwhile
// included. If the search was not whole, neither is the sweep.
func TestBookSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bookOf(16)
		inner := &asker{}
		inner.each = func() { b.add(host6(byte(len(inner.plans))), true) } // up to 3
		d := bookDiscoverer{inner, b}
		walked := setOfHosts([]netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")})
		plan := capture.Plan{Addrs: walked, Ports: []uint16{22}, From: 1, Checkpoint: func(uint64) {}}
		done := make(chan capture.Stats)
		go func() {
			stats, err := d.Sweep(t.Context(), plan, nil)
			if err != nil {
				t.Error(err)
			}
			done <- stats
		}()
		synctest.Wait()
		if len(inner.plans) > 0 {
			t.Fatal("a sweep before the first search")
		}
		inner.each = func() {
			if n := len(inner.plans); n < 3 {
				b.add(host6(byte(n)), true)
			}
		}
		b.searched(errors.New("interface is down"))
		if stats := <-done; stats.Targets != 4 || !stats.Degraded {
			t.Errorf("%+v", stats)
		}
		if len(inner.plans) != 3 || inner.plans[0].From != 1 || inner.plans[0].Checkpoint == nil {
			t.Fatalf("%+v", inner.plans)
		}
		for _, p := range inner.plans[1:] {
			if p.From != 0 || p.Checkpoint != nil || p.Addrs.Len() != 1 {
				t.Errorf("%+v", p)
			}
		}
		b.searched(nil)
		if stats, err := d.Sweep(t.Context(), plan, nil); err != nil || stats.Degraded || stats.Targets != 4 {
			t.Errorf("%+v, %v", stats, err)
		}
		few := capture.Plan{Addrs: setOfHosts([]netip.Addr{host6(9)}), Ports: []uint16{22}}
		if stats, err := d.Sweep(t.Context(), few, nil); err != nil || stats.Targets != 1 {
			t.Errorf("of one host: %+v, %v", stats, err)
		}
	})
}
