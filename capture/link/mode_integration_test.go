//go:build linux && integration

package link_test

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sonde/capture/capturetest"
	"sonde/capture/frame"
	"sonde/capture/link"
)

// TestModesEndWithTheSocket looks at the interface while a socket asks for all
// frames and all groups, and afterwards.
func TestModesEndWithTheSocket(t *testing.T) {
	p := capturetest.NewPair(t)
	s := open(t, p.Sensor, link.Open, link.Config{
		Interface: p.Near.Name, Filter: none, Promiscuous: true, AllMulticast: true})
	modes := func() string { return p.Sensor.IP(t, "-d", "link", "show", p.Near.Name) }
	if out := modes(); !strings.Contains(out, "promiscuity 1") || !strings.Contains(out, "allmulti 1") {
		t.Errorf("open: %s", out)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if out := modes(); !strings.Contains(out, "promiscuity 0") || !strings.Contains(out, "allmulti 0") {
		t.Errorf("closed: %s", out)
	}
}

// TestFilterIsThereFirst opens sockets while frames come in that their filter
// does not pass: not one gets in before the filter does.
func TestFilterIsThereFirst(t *testing.T) {
	p := capturetest.NewPair(t)
	out := open(t, p.Target, link.Open, link.Config{Interface: p.Far.Name})
	stop, done := make(chan struct{}), make(chan struct{})
	var started sync.Once
	running := make(chan struct{})
	go func() {
		defer close(done)
		for batch := flood(); ; {
			if _, err := out.Send(batch); err != nil {
				t.Error(err)
			}
			started.Do(func() { close(running) })
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	<-running
	for range 12 {
		s := open(t, p.Sensor, link.Open, link.Config{Interface: p.Near.Name, Filter: none, RingBytes: 1})
		_ = s.Close()
		if c := s.Counters(); c.Received+c.Dropped != 0 {
			t.Errorf("%+v", c)
		}
	}
	s := open(t, p.Sensor, link.Open, link.Config{Interface: p.Near.Name, Filter: everything})
	frames, _ := listen(t, s)
	next(t, s, frames) // the frames did come all the while
	close(stop)
	<-done
}

// TestTimes compares the kernel's time of arrival with ours.
func TestTimes(t *testing.T) {
	ns := capturetest.NewNamespace(t)
	s := open(t, ns, link.OpenRaw, link.Config{Filter: link.SweepFilter(portLo, portHi)})
	times := make(chan time.Time, 8)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Receive(func(_ []byte, at time.Time) { times <- at })
	}()
	before := time.Now().Add(-time.Second)
	lo := netip.MustParseAddr("127.0.0.1")
	send(t, s, &frame.Path{Medium: frame.IP}, lo, lo, portLo, 81)
	if at := <-times; at.Before(before) || at.After(time.Now().Add(time.Second)) {
		t.Errorf("arrived at %v, sent after %v", at, before)
	}
	_ = s.Close()
	<-done
}

// TestRawRefusesWhatItCannotRoute keeps what has no way, or names no interface,
// from stopping the rest.
func TestRawRefusesWhatItCannotRoute(t *testing.T) {
	ns := capturetest.NewNamespace(t)
	s := open(t, ns, link.OpenRaw, link.Config{})
	lo := netip.MustParseAddr("127.0.0.1")
	local := netip.MustParseAddr("fe80::1")
	batch := [][]byte{
		segment(our4, host4, portLo, 80, frame.FlagSYN), // no route
		segment(our6, host6, portLo, 80, frame.FlagSYN),
		segment(local, local, portLo, 80, frame.FlagSYN),
		segment(lo, lo, portLo, 80, frame.FlagSYN),
		slices.Repeat([]byte{0x40}, 12), // no IP packet
	}
	if n, err := s.Send(batch); n != len(batch) || err != nil {
		t.Fatalf("done with %d: %v", n, err)
	}
	if c := s.Counters(); c.Sent != 1 || c.Refused != 4 {
		t.Errorf("%+v", c)
	}
}
