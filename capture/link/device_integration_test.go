//go:build linux && integration

package link_test

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"sonde/capture/capturetest"
	"sonde/capture/frame"
	"sonde/capture/link"
)

// everything is a filter that passes all frames.
func everything(link.Medium) []bpf.Instruction {
	return []bpf.Instruction{bpf.RetConstant{Val: 1 << 18}}
}

// none is a filter that passes none.
func none(link.Medium) []bpf.Instruction { return []bpf.Instruction{bpf.RetConstant{Val: 0}} }

func TestTun(t *testing.T) {
	ns := capturetest.NewNamespace(t)
	// What the box sends comes back with its addresses and ports exchanged.
	d := capturetest.NewTun(t, ns, "tun0", func(b []byte) []byte {
		var p frame.Packet
		if p.Decode(frame.IP, b) != nil || p.Proto != frame.ProtoTCP {
			return nil
		}
		return segment(p.Dst, p.Src, p.DstPort, p.SrcPort, frame.FlagSYN|frame.FlagACK)
	})
	d.Address(t, "198.19.0.1/24")
	d.Address(t, "2001:db8:19::1/64")
	for _, bypass := range []bool{false, true} {
		s := open(t, ns, link.Open, link.Config{
			Interface: "tun0", Filter: link.SweepFilter(portLo, portHi), Bypass: bypass})
		if s.Medium() != link.IP {
			t.Fatalf("medium %d", s.Medium())
		}
		frames, _ := listen(t, s)
		for _, a := range []string{"198.19.0.2", "2001:db8:19::2"} {
			dst := netip.MustParseAddr(a)
			src := dst.Prev()
			send(t, s, &frame.Path{Medium: frame.IP}, src, dst, portLo, 80)
			if got := next(t, s, frames); got.Src != dst || got.DstPort != portLo {
				t.Errorf("%+v", got)
			}
		}
	}
}

// TestVLAN asks on a VLAN's own interface, and for an untagged frame on its
// parent: each socket receives what is of its own network, and both if it asks
// for tagged frames.
func TestVLAN(t *testing.T) {
	p, near, far := capturetest.NewTrunk(t)
	config := func(name string) link.Config {
		return link.Config{Interface: name, Filter: link.SweepFilter(portLo, portHi)}
	}
	parent := open(t, p.Sensor, link.Open, config(near.Name))
	vlan := open(t, p.Sensor, link.Open, config(p.Near.Name))
	both := config(near.Name)
	both.Tagged = true
	mirror := open(t, p.Sensor, link.Open, both)
	onParent, _ := listen(t, parent)
	onVLAN, _ := listen(t, vlan)
	onBoth, _ := listen(t, mirror)

	path := &frame.Path{Medium: frame.Ethernet, Src: p.Near.MAC(t), Dst: p.Far.MAC(t)}
	send(t, vlan, path, capturetest.Sensor4, capturetest.Target4, portLo, 81)
	if got := next(t, vlan, onVLAN); got.SrcPort != 81 {
		t.Errorf("on the VLAN: %+v", got)
	}
	if got := next(t, mirror, onBoth); got.SrcPort != 81 || got.EtherType != frame.TypeIPv4 {
		t.Errorf("on the parent, tagged: %+v", got)
	}
	untagged := open(t, p.Target, link.Open, link.Config{Interface: far.Name})
	b := onEthernet(segment(host4, our4, 82, portLo, frame.FlagRST), false)
	copy(b, slices.Repeat([]byte{0xff}, 6))
	if n, err := untagged.Send([][]byte{b}); n != 1 || err != nil {
		t.Fatalf("sent %d: %v", n, err)
	}
	if got := next(t, parent, onParent); got.SrcPort != 82 {
		t.Errorf("on the parent: %+v", got)
	}
	if got := next(t, mirror, onBoth); got.SrcPort != 82 {
		t.Errorf("on the parent, untagged: %+v", got)
	}
	if len(onVLAN)+len(onParent)+len(onBoth) != 0 {
		t.Errorf("frames are left: %d on the VLAN, %d and %d on the parent", len(onVLAN), len(onParent), len(onBoth))
	}
}

// TestOwnFrames looks at what the box sends itself.
func TestOwnFrames(t *testing.T) {
	p := capturetest.NewPair(t)
	c := link.Config{Interface: p.Near.Name, Filter: everything}
	without := open(t, p.Sensor, link.Open, c)
	c.Outgoing = true
	with := open(t, p.Sensor, link.Open, c)
	onWithout, _ := listen(t, without)
	onWith, _ := listen(t, with)
	path := &frame.Path{Medium: frame.Ethernet, Src: p.Near.MAC(t), Dst: p.Far.MAC(t)}
	send(t, without, path, capturetest.Sensor4, capturetest.Target4, portLo, 81)
	// Neighbours and groups have their own to say meanwhile.
	seen := func(s *link.Socket, frames <-chan []byte) (sent bool) {
		for {
			got := next(t, s, frames)
			sent = sent || got.DstPort == 81
			if got.SrcPort == 81 {
				return sent
			}
		}
	}
	if seen(without, onWithout) {
		t.Error("an outgoing frame came in")
	}
	if !seen(with, onWith) {
		t.Error("the outgoing frame was not seen")
	}
}

// TestDownAndUp takes the interface down and up while Receive waits: it says so
// once, and goes on with the same socket.
func TestDownAndUp(t *testing.T) {
	p := capturetest.NewPair(t)
	c := link.Config{Interface: p.Near.Name, Filter: link.SweepFilter(portLo, portHi)}
	s := open(t, p.Sensor, link.Open, c)
	frames, errs := listen(t, s)
	path := &frame.Path{Medium: frame.Ethernet, Src: p.Near.MAC(t), Dst: p.Far.MAC(t)}
	send(t, s, path, capturetest.Sensor4, capturetest.Target4, portLo, 81)
	next(t, s, frames)

	p.Near.Down(t)
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

	p.Near.Up(t)
	send(t, s, path, capturetest.Sensor4, capturetest.Target4, portLo+1, 81)
	if got := next(t, s, frames); got.DstPort != portLo+1 {
		t.Errorf("%+v", got)
	}

	p.Sensor.IP(t, "link", "del", p.Near.Name)
	if err := <-errs; !errors.Is(err, link.ErrDown) {
		t.Errorf("receive on what is gone: %v, want ErrDown", err)
	}
	if n, err := s.Send([][]byte{make([]byte, 60)}); n != 0 || !errors.Is(err, link.ErrDown) {
		t.Errorf("sent %d on what is gone: %v, want ErrDown", n, err)
	}
	err = p.Sensor.Enter(func() error { _, err := link.Open(c); return err })
	if !errors.Is(err, link.ErrDown) {
		t.Errorf("open what is gone: %v, want ErrDown", err)
	}
}

func TestClose(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ns := capturetest.NewNamespace(t)
	for _, c := range []link.Config{{Filter: none}, {}} {
		s := open(t, ns, link.OpenRaw, c)
		done := make(chan error)
		go func() { done <- s.Receive(func([]byte, time.Time) { t.Error("a frame passed") }) }()
		for range 3 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("receive: %v", err)
		}
		if err := s.Receive(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("receive again: %v", err)
		}
		if n, err := s.Send([][]byte{make([]byte, 60)}); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("sent %d: %v", n, err)
		}
		if got := s.Counters(); got != (link.Counters{}) {
			t.Errorf("%+v", got)
		}
	}
}

// TestNoPermission drops the capability on one thread, which ends.
func TestNoPermission(t *testing.T) {
	ns := capturetest.NewNamespace(t)
	for name, how := range map[string]func(link.Config) (*link.Socket, error){"Open": link.Open, "OpenRaw": link.OpenRaw} {
		err := ns.Enter(func() error {
			runtime.LockOSThread()
			var no [2]unix.CapUserData
			head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			if err := unix.Capset(&head, &no[0]); err != nil {
				return err
			}
			_, err := how(link.Config{Interface: "lo"})
			return err
		})
		if !errors.Is(err, link.ErrNoPermission) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDropsAreCounted lets a ring overflow while nobody receives: every frame is
// received or counted as dropped.
func TestDropsAreCounted(t *testing.T) {
	p := capturetest.NewPair(t)
	const sent = 20_000
	in := open(t, p.Target, link.Open, link.Config{
		Interface: p.Far.Name, Filter: link.SweepFilter(portLo, portHi), RingBytes: 1})
	out := open(t, p.Sensor, link.Open, link.Config{Interface: p.Near.Name})
	b := onEthernet(segment(our4, host4, 80, portLo, frame.FlagRST), false)
	copy(b, slices.Repeat([]byte{2}, 12))
	batch := slices.Repeat([][]byte{b}, 100)
	for range sent / len(batch) {
		if n, err := out.Send(batch); n != len(batch) || err != nil {
			t.Fatalf("sent %d: %v", n, err)
		}
	}
	received, dropped := in.Drops()
	for deadline := time.Now().Add(10 * time.Second); received+dropped < sent && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // the kernel may deliver later than it takes
		received, dropped = in.Drops()
	}
	if received+dropped != sent || dropped == 0 || received == 0 {
		t.Errorf("received %d, dropped %d of %d", received, dropped, sent)
	}
	// Asked again, the kernel knows of none; the socket still does.
	if r, d := in.Drops(); r != received || d != dropped {
		t.Errorf("received %d, dropped %d the second time", r, d)
	}
	got := uint64(0)
	frames, _ := listen(t, in)
	for range received {
		next(t, in, frames)
		got++
	}
	if c := in.Counters(); c.Received != got {
		t.Errorf("handed over %d: %+v", got, c)
	}
	_ = in.Close()
	if r, d := in.Drops(); r != received || d != dropped {
		t.Errorf("received %d, dropped %d after closing", r, d)
	}
}

// TestRefused lets a firewall drop some of what is sent to the box itself: the
// rest goes.
func TestRefused(t *testing.T) {
	ns := capturetest.NewNamespace(t)
	ns.NFT(t, "table inet f { chain out { type filter hook output priority 0; tcp dport 81 drop; }; }")
	s := open(t, ns, link.OpenRaw, link.Config{Filter: link.SweepFilter(portLo, portHi)})
	frames, _ := listen(t, s)
	lo4, lo6 := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")
	batch := [][]byte{
		segment(lo4, lo4, portLo, 81, frame.FlagSYN), segment(lo4, lo4, portLo, 82, frame.FlagSYN),
		segment(lo6, lo6, portLo, 81, frame.FlagSYN), {}, segment(lo6, lo6, portLo, 83, frame.FlagSYN),
	}
	if n, err := s.Send(batch); n != len(batch) || err != nil {
		t.Fatalf("done with %d: %v", n, err)
	}
	for _, port := range []uint16{82, 83} {
		if got := next(t, s, frames); got.SrcPort != port {
			t.Errorf("%+v, want an answer from port %d", got, port)
		}
	}
	if c := s.Counters(); c.Sent != 2 || c.Refused != 3 || c.Received != 2 {
		t.Errorf("%+v", c)
	}
}

func TestSendDoesNotAllocate(t *testing.T) {
	p := capturetest.NewPair(t)
	s := open(t, p.Sensor, link.Open, link.Config{Interface: p.Near.Name})
	batch := slices.Repeat([][]byte{append(make([]byte, 12), 0x88, 0xb5, 0, 0)}, 300)
	if n := testing.AllocsPerRun(20, func() { _, _ = s.Send(batch) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if c := s.Counters(); c.Sent != 21*300 {
		t.Errorf("%+v", c)
	}
}
