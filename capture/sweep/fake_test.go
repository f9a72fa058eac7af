package sweep

import (
	"cmp"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sonde/capture"
	"sonde/capture/frame"
	"sonde/capture/link"
	"sonde/capture/route"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	self4  = netip.MustParseAddr("198.19.0.1")
	self6  = netip.MustParseAddr("2001:db8:19::1")
	router = netip.MustParseAddr("198.19.0.2")

	selfMAC   = [6]byte{2, 0, 0, 0, 0, 1}
	routerMAC = [6]byte{2, 0, 0, 0, 0, 2}
)

// A world is a network in memory: what is sent to it is answered by whatever
// the test says, and counted.
type world struct {
	mu      sync.Mutex
	gen     uint64
	watches map[chan struct{}]struct{}
	onLink  bool // targets are neighbours
	down    bool
	mac     [6]byte // the router's
	wires   []*fakeWire
	sent    []sentPacket
	resets  map[netip.AddrPort]int
	dropped uint64
	asked   int // neighbours

	// answer gives what happens to a probe: the answers to it, by built.
	answer func(p *frame.Packet, n int) []fakeAnswer
	dead   func(a netip.Addr) bool // neighbours that do not answer
	tries  map[netip.AddrPort]int
	delay  time.Duration // of answers
	lossy  func() bool   // says of each answer whether the kernel drops it
}

type sentPacket struct {
	frame.Packet
	at time.Time
}

// A fakeAnswer is one packet that comes back.
type fakeAnswer struct {
	src       netip.Addr
	flags     uint8  // TCP
	payload   []byte // UDP
	udp       bool
	port      uint16 // UDP: the source, if not the port that was asked
	icmp      bool   // port unreachable, or code
	code      uint8
	from      netip.Addr // of ICMP
	seqOffset uint32
	after     time.Duration
}

func newWorld() *world {
	return &world{watches: map[chan struct{}]struct{}{}, mac: routerMAC,
		resets: map[netip.AddrPort]int{}, tries: map[netip.AddrPort]int{}, delay: 10 * time.Millisecond}
}

func (w *world) Hop(dst netip.Addr, _ string) (route.Hop, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := route.Hop{Link: route.Interface{Index: 7, Name: "near", MAC: selfMAC, MTU: 1500,
		Medium: route.Ethernet, Up: !w.down}, Src: self4, Next: router}
	if dst.Is6() {
		h.Src, h.Next = self6, netip.MustParseAddr("fe80::2")
	}
	if w.onLink {
		h.OnLink, h.Next = true, dst
	}
	if w.down {
		return route.Hop{}, route.ErrNoRoute
	}
	return h, nil
}

func (w *world) Generation() uint64 { w.mu.Lock(); defer w.mu.Unlock(); return w.gen }

func (w *world) Watch() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watches[c] = struct{}{}
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.watches, c)
	}
}

// change does something to the world and tells of it.
func (w *world) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	w.gen++
	for c := range w.watches {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// setDown takes the interface down, or brings it up.
func (w *world) setDown(down bool) {
	w.change(func() { w.down = down })
	if !down {
		return
	}
	w.mu.Lock()
	wires := w.wires
	w.wires = nil
	w.mu.Unlock()
	for _, x := range wires {
		x.fail(link.ErrDown)
	}
}

func (w *world) Resolve(ctx context.Context, hop route.Hop, addrs []netip.Addr, found func(netip.Addr, [6]byte)) error {
	if err := sleep(ctx, time.Millisecond); err != nil {
		return err
	}
	for _, a := range addrs {
		w.mu.Lock()
		mac, dead := w.mac, w.down || w.dead != nil && w.dead(a)
		w.asked++
		w.mu.Unlock()
		if !dead {
			found(a, mac)
		}
	}
	return nil
}

func (w *world) open(route.Hop, link.Filter) (Wire, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, link.ErrDown
	}
	x := &fakeWire{w: w, in: make(chan []byte, 1<<16), done: make(chan struct{})}
	w.wires = append(w.wires, x)
	return x, nil
}

// A fakeWire is one opening of the interface.
type fakeWire struct {
	w    *world
	in   chan []byte
	once sync.Once
	done chan struct{}
	err  error
	busy atomic.Int64
}

func (x *fakeWire) Medium() link.Medium { return link.Ethernet }

func (x *fakeWire) Counters() link.Counters {
	x.w.mu.Lock()
	defer x.w.mu.Unlock()
	return link.Counters{Dropped: x.w.dropped}
}

func (x *fakeWire) fail(err error) { x.once.Do(func() { x.err = err; close(x.done) }) }
func (x *fakeWire) Close() error   { x.fail(net.ErrClosed); return nil }

func (x *fakeWire) Busy() time.Duration { return time.Duration(x.busy.Load()) }

func (x *fakeWire) Receive(yield func([]byte, time.Time)) error {
	for {
		select {
		case <-x.done:
			return x.err
		case b := <-x.in:
			yield(b, time.Now())
		}
	}
}

func (x *fakeWire) Send(frames [][]byte) (int, error) {
	for i, f := range frames {
		select {
		case <-x.done:
			return i, x.err
		default:
		}
		var p frame.Packet
		if err := p.Decode(frame.Ethernet, f); err != nil {
			panic(err)
		}
		x.w.take(x, p)
	}
	return len(frames), nil
}

// take looks at a packet that was sent.
func (w *world) take(x *fakeWire, p frame.Packet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.Payload = append([]byte(nil), p.Payload...)
	w.sent = append(w.sent, sentPacket{p, time.Now()})
	to := netip.AddrPortFrom(p.Dst, p.DstPort)
	if p.Proto == frame.ProtoTCP && p.Flags == frame.FlagRST {
		w.resets[to]++
		return
	}
	if p.DstMAC != w.mac || w.answer == nil {
		return
	}
	w.tries[to]++
	for _, a := range w.answer(&p, w.tries[to]) {
		if w.lossy != nil && w.lossy() {
			w.dropped++
			continue
		}
		b := a.build(&p)
		time.AfterFunc(w.delay+a.after, func() {
			select {
			case x.in <- b:
			case <-x.done:
			}
		})
	}
}

// build makes the frame of an answer to a probe.
func (a *fakeAnswer) build(p *frame.Packet) []byte {
	src := a.src
	if !src.IsValid() {
		src = p.Dst
	}
	b := make([]byte, 256+len(a.payload))
	path := &frame.Path{Medium: frame.Ethernet, Src: routerMAC, Dst: selfMAC}
	switch {
	case a.icmp:
		return a.complaint(b, p)
	case a.udp:
		t, err := frame.NewUDP(src, a.payload)
		if err != nil {
			panic(err)
		}
		return b[:t.Put(b, path, p.Src, cmp.Or(a.port, p.DstPort), p.SrcPort, 1)]
	}
	t, err := frame.NewSYN(src)
	if err != nil {
		panic(err)
	}
	n := t.Put(b, path, p.Src, p.DstPort, p.SrcPort, 12345, p.Seq+1+a.seqOffset, 1)
	at := 14 + 20 + 13
	if src.Is6() {
		at += 20
	}
	b[at] = a.flags
	return b[:n]
}

// complaint makes an ICMP error for IPv4 about the probe.
func (a *fakeAnswer) complaint(b []byte, p *frame.Packet) []byte {
	from := a.from
	if !from.IsValid() {
		from = p.Dst
	}
	copy(b[0:], selfMAC[:])
	copy(b[6:], routerMAC[:])
	binary.BigEndian.PutUint16(b[12:], frame.TypeIPv4)
	ip := b[14:]
	put := func(h []byte, proto uint8, n int, src, dst netip.Addr) {
		h[0], h[8], h[9] = 0x45, 64, proto
		binary.BigEndian.PutUint16(h[2:], uint16(n))
		s, d := src.As4(), dst.As4()
		copy(h[12:], s[:])
		copy(h[16:], d[:])
	}
	put(ip, frame.ProtoICMP, 56, from, p.Src)
	ip[20], ip[21] = frame.ICMPUnreachable, a.code
	q := ip[28:]
	put(q, p.Proto, 60, p.Src, p.Dst)
	binary.BigEndian.PutUint16(q[20:], p.SrcPort)
	binary.BigEndian.PutUint16(q[22:], p.DstPort)
	binary.BigEndian.PutUint32(q[24:], p.Seq+a.seqOffset)
	return b[:14+56]
}

// probes are the packets that were sent and are no resets.
func (w *world) probes() (list []sentPacket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.sent {
		if p.Proto != frame.ProtoTCP || p.Flags != frame.FlagRST {
			list = append(list, p)
		}
	}
	return list
}

// sweeper makes a Sweeper of the world that holds no real ports.
func (w *world) sweeper(t testing.TB, cfg Config) *Sweeper {
	t.Helper()
	cfg.Routes, cfg.Neighbors, cfg.Open = w, w, w.open
	if err := cfg.complete(); err != nil {
		t.Fatal(err)
	}
	s := newSweeper(cfg, []uint16{61000, 61001, 61003, 61004}, newSecret([16]byte{1, 2, 3}))
	t.Cleanup(func() { s.Close() })
	return s
}

// block is addresses in a row.
type block struct {
	first netip.Addr
	n     uint32
}

func (b block) Len() uint64 { return uint64(b.n) }

func (b block) At(i uint64) netip.Addr {
	if b.first.Is4() {
		a := b.first.As4()
		binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])+uint32(i))
		return netip.AddrFrom4(a)
	}
	a := b.first.As16()
	binary.BigEndian.PutUint64(a[8:], binary.BigEndian.Uint64(a[8:])+i)
	return netip.AddrFrom16(a)
}

func (b block) Index(a netip.Addr) (uint64, bool) {
	if !a.IsValid() || a.Is4() != b.first.Is4() {
		return 0, false
	}
	var i uint64
	if a.Is4() {
		x, y := a.As4(), b.first.As4()
		i = uint64(binary.BigEndian.Uint32(x[:]) - binary.BigEndian.Uint32(y[:]))
	} else {
		x, y := a.As16(), b.first.As16()
		i = binary.BigEndian.Uint64(x[8:]) - binary.BigEndian.Uint64(y[8:])
	}
	return i, i < uint64(b.n)
}

func targets(n uint32) block { return block{netip.MustParseAddr("198.18.0.0"), n} }

// isOpen is three of a thousand pairs.
func isOpen(a netip.Addr, port uint16) bool {
	b := a.As16()
	return (binary.BigEndian.Uint32(b[12:])*2654435761+uint32(port)*40503)>>7%1000 < 3
}

// honest answers as hosts do: SYN-ACK or RST.
func honest(p *frame.Packet, _ int) []fakeAnswer {
	if isOpen(p.Dst, p.DstPort) {
		return []fakeAnswer{{flags: frame.FlagSYN | frame.FlagACK}}
	}
	return []fakeAnswer{{flags: frame.FlagRST | frame.FlagACK}}
}

// firewalled answers only where a port is open.
func firewalled(p *frame.Packet, n int) []fakeAnswer {
	if isOpen(p.Dst, p.DstPort) {
		return honest(p, n)
	}
	return nil
}

// randomly is true for a share of its calls.
func randomly(share float64, seed uint64) func() bool {
	r := rand.New(rand.NewPCG(seed, 7))
	return func() bool { return r.Float64() < share }
}

// collect sweeps and gives what was told of each target.
func collect(t testing.TB, s *Sweeper, p capture.Plan) (map[netip.AddrPort]capture.Reply, capture.Stats) {
	t.Helper()
	got := map[netip.AddrPort]capture.Reply{}
	stats, err := s.Sweep(t.Context(), p, func(r capture.Reply) {
		if _, twice := got[r.Addr]; twice {
			t.Errorf("%s is told twice", r.Addr)
		}
		got[r.Addr] = r
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, stats
}
