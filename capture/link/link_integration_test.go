//go:build linux && integration

package link_test

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"sonde/capture/capturetest"
	"sonde/capture/frame"
	"sonde/capture/link"
)

// open opens a socket in a namespace, which is closed with the test.
func open(t testing.TB, ns *capturetest.Namespace, how func(link.Config) (*link.Socket, error), c link.Config) *link.Socket {
	t.Helper()
	var s *link.Socket
	ns.Do(t, func() (err error) {
		s, err = how(c)
		return err
	})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// listen receives into a channel until the socket is closed; what does not fit
// is left out, so that Receive always goes on. The last value of errs is why it
// ended.
func listen(t testing.TB, s *link.Socket) (frames <-chan []byte, errs <-chan error) {
	t.Helper()
	f, e := make(chan []byte, 1<<16), make(chan error, 16)
	go func() {
		defer close(e)
		for {
			err := s.Receive(func(b []byte, _ time.Time) {
				select {
				case f <- bytes.Clone(b):
				default:
				}
			})
			e <- err
			if errors.Is(err, net.ErrClosed) {
				return
			}
		}
	}()
	return f, e
}

// next gives the next frame, which must come.
func next(t testing.TB, s *link.Socket, frames <-chan []byte) (p frame.Packet) {
	t.Helper()
	select {
	case b := <-frames:
		if err := p.Decode(frame.Medium(s.Medium()), b); err != nil {
			t.Fatalf("decode %x: %v", b, err)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("no frame came: %+v", s.Counters())
	}
	return p
}

// send sends a SYN, which must go.
func send(t testing.TB, s *link.Socket, p *frame.Path, src, dst netip.Addr, sport, dport uint16) {
	t.Helper()
	syn, err := frame.NewSYN(src)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, frame.MaxHeaders)
	n := syn.Put(buf, p, dst, sport, dport, 0x01020304, 0, 1)
	if done, err := s.Send([][]byte{buf[:n]}); done != 1 || err != nil {
		t.Fatalf("sent %d: %v", done, err)
	}
}

func TestEthernet(t *testing.T) {
	p := capturetest.NewPair(t)
	s := open(t, p.Sensor, link.Open, link.Config{Interface: p.Near.Name, Filter: link.SweepFilter(portLo, portHi)})
	if s.Medium() != link.Ethernet || s.MTU() != 1500 {
		t.Errorf("medium %d, MTU %d", s.Medium(), s.MTU())
	}
	frames, _ := listen(t, s)
	path := &frame.Path{Medium: frame.Ethernet, Src: p.Near.MAC(t), Dst: p.Far.MAC(t)}
	// The target's own kernel answers for closed ports.
	for _, c := range []struct{ src, dst netip.Addr }{
		{capturetest.Sensor4, capturetest.Target4}, {capturetest.Sensor6, capturetest.Target6},
	} {
		send(t, s, path, c.src, c.dst, portLo+7, 81)
		got := next(t, s, frames)
		if got.Src != c.dst || got.SrcPort != 81 || got.DstPort != portLo+7 ||
			got.Flags&frame.FlagRST == 0 || got.Ack != 0x01020305 {
			t.Errorf("answer of %v: %+v", c.dst, got)
		}
	}
	if c := s.Counters(); c.Sent != 2 || c.Received != 2 || c.Dropped != 0 {
		t.Errorf("%+v", c)
	}
}

// TestBusy: a socket that waits for frames is not busy; one whose receiver hangs is.
func TestBusy(t *testing.T) {
	p := capturetest.NewPair(t)
	s := open(t, p.Sensor, link.Open, link.Config{Interface: p.Near.Name, Filter: link.SweepFilter(portLo, portHi)})
	in, out, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { done <- s.Receive(func([]byte, time.Time) { close(in); <-out }) }()
	if got := s.Busy(); got > time.Second { // the first look at the ring may be under way
		t.Errorf("no frame came: busy for %v", got)
	}
	path := &frame.Path{Medium: frame.Ethernet, Src: p.Near.MAC(t), Dst: p.Far.MAC(t)}
	send(t, s, path, capturetest.Sensor4, capturetest.Target4, portLo+7, 81)
	<-in
	before := s.Busy()
	if again := s.Busy(); before <= 0 || again <= before {
		t.Errorf("the receiver hangs: busy for %v, then %v", before, again)
	}
	close(out)
	for s.Busy() != 0 { // until it waits again, or the test's own time is over
		time.Sleep(time.Millisecond)
	}
	_ = s.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// TestBridge sends on a bridge, whose port leads to the target.
func TestBridge(t *testing.T) {
	p := capturetest.NewPair(t)
	br := capturetest.Port{In: p.Sensor, Name: "br0"}
	p.Sensor.IP(t, "link", "add", br.Name, "type", "bridge")
	p.Sensor.IP(t, "address", "flush", "dev", p.Near.Name)
	p.Sensor.IP(t, "link", "set", p.Near.Name, "master", br.Name)
	br.Up(t)
	br.Address(t, capturetest.Sensor4.String()+"/24")
	s := open(t, p.Sensor, link.Open, link.Config{Interface: br.Name, Filter: link.SweepFilter(portLo, portHi)})
	frames, _ := listen(t, s)
	path := &frame.Path{Medium: frame.Ethernet, Src: br.MAC(t), Dst: p.Far.MAC(t)}
	send(t, s, path, capturetest.Sensor4, capturetest.Target4, portLo, 81)
	if got := next(t, s, frames); got.Src != capturetest.Target4 || got.Flags&frame.FlagRST == 0 {
		t.Errorf("%+v", got)
	}
}

// TestLoopback finds a listener and a closed port of the box itself, on
// loopback and on the address of another interface, each answer once.
func TestLoopback(t *testing.T) {
	ns := capturetest.NewNamespace(t)
	d0 := capturetest.Port{In: ns, Name: "d0"}
	capturetest.Veth(t, d0, capturetest.Port{In: ns, Name: "d1"})
	d0.Address(t, "198.19.7.1/24")
	d0.Address(t, "2001:db8:7::1/64")
	var l net.Listener
	ns.Do(t, func() (err error) {
		l, err = net.Listen("tcp", ":80")
		return err
	})
	defer l.Close()
	s := open(t, ns, link.OpenRaw, link.Config{Filter: link.SweepFilter(portLo, portHi)})
	frames, _ := listen(t, s)
	want := 0
	for _, a := range []string{"127.0.0.1", "198.19.7.1", "::1", "2001:db8:7::1"} {
		addr := netip.MustParseAddr(a)
		for port, flags := range map[uint16]uint8{
			80: frame.FlagSYN | frame.FlagACK, 81: frame.FlagRST | frame.FlagACK,
		} {
			want++
			send(t, s, &frame.Path{Medium: frame.IP}, addr, addr, portLo, port)
			got := next(t, s, frames)
			if got.Src != addr || got.SrcPort != port || got.Flags != flags {
				t.Errorf("answer of %v port %d: %+v", addr, port, got)
			}
			if c := s.Counters(); c.Received != uint64(want) {
				t.Errorf("%v port %d: %d frames captured, want %d", addr, port, c.Received, want)
			}
		}
	}
}
