//go:build integration && linux

package link_test

import (
	"errors"
	"testing"
	"time"

	"sonde/capture/capturetest"
	"sonde/capture/frame"
	"sonde/capture/link"
)

// TestCarrierLost takes the other end of the link down: the interface stays up
// and packet sockets learn nothing of it by themselves, yet what is sent is lost.
func TestCarrierLost(t *testing.T) {
	p := capturetest.NewPair(t)
	c := link.Config{Interface: p.Near.Name, Filter: link.SweepFilter(portLo, portHi)}
	s := open(t, p.Sensor, link.Open, c)
	frames, errs := listen(t, s)
	path := &frame.Path{Medium: frame.Ethernet, Src: p.Near.MAC(t), Dst: p.Far.MAC(t)}
	send(t, s, path, capturetest.Sensor4, capturetest.Target4, portLo, 81)
	next(t, s, frames)

	for range 3 {
		p.Far.Down(t)
		if err := <-errs; !errors.Is(err, link.ErrDown) {
			t.Errorf("receive: %v, want ErrDown", err)
		}
		if n, err := s.Send([][]byte{make([]byte, 60)}); n != 0 || !errors.Is(err, link.ErrDown) {
			t.Errorf("sent %d: %v, want ErrDown", n, err)
		}
		err := p.Sensor.Enter(func() error { _, err := link.Open(c); return err })
		if !errors.Is(err, link.ErrDown) {
			t.Errorf("open: %v, want ErrDown", err)
		}

		p.Far.Up(t)
		awaitSend(t, s)
		send(t, s, path, capturetest.Sensor4, capturetest.Target4, portLo+1, 81)
		if got := next(t, s, frames); got.DstPort != portLo+1 {
			t.Errorf("%+v", got)
		}
	}
	select {
	case err := <-errs:
		t.Errorf("told once more: %v", err)
	default:
	}
}

// awaitSend waits until the interface takes frames again.
func awaitSend(t *testing.T, s *link.Socket) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		n, err := s.Send([][]byte{make([]byte, 60)})
		if n == 1 {
			return
		}
		if !errors.Is(err, link.ErrDown) || time.Now().After(end) {
			t.Fatalf("sent %d: %v", n, err)
		}
	}
}

// TestOthersLost: what happens to other interfaces is nothing to a socket.
func TestOthersLost(t *testing.T) {
	p := capturetest.NewPair(t)
	p.Sensor.IP(t, "link", "add", "other", "type", "veth", "peer", "name", "its-end")
	s := open(t, p.Sensor, link.Open, link.Config{Interface: p.Near.Name, Filter: link.SweepFilter(portLo, portHi)})
	frames, errs := listen(t, s)
	for range 3 {
		for _, change := range []string{"up", "down"} {
			p.Sensor.IP(t, "link", "set", "other", change)
			p.Sensor.IP(t, "link", "set", "its-end", change)
		}
	}
	path := &frame.Path{Medium: frame.Ethernet, Src: p.Near.MAC(t), Dst: p.Far.MAC(t)}
	send(t, s, path, capturetest.Sensor4, capturetest.Target4, portLo, 81)
	next(t, s, frames)
	select {
	case err := <-errs:
		t.Errorf("told of another interface: %v", err)
	default:
	}
}
