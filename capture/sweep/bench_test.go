package sweep

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"sonde/capture"
	"sonde/capture/frame"
	"sonde/capture/link"
	"sonde/capture/route"
)

// BenchmarkPacket is what one SYN costs beside sending it: its place in the
// order, its cookie, and the patching of the template.
func BenchmarkPacket(b *testing.B) {
	p := tcpPlan(1<<16, 22, 80, 443, 8080)
	order, err := p.Order()
	if err != nil {
		b.Fatal(err)
	}
	j := newJudge(newSecret([16]byte{1}), []uint16{61000, 61001, 61002, 61003})
	syn, err := frame.NewSYN(self4)
	if err != nil {
		b.Fatal(err)
	}
	path := frame.Path{Medium: frame.Ethernet, Src: selfMAC, Dst: routerMAC}
	buf := make([]byte, frame.MaxHeaders)
	n, _ := p.Len()
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		a, port, _ := order.At(i & (n - 1)) // n is a power of two
		c := j.secret.cookie(a, port, frame.ProtoTCP)
		syn.Put(buf, &path, a, j.source(c), port, c.seq(), 0, c.id())
	}
}

// sink takes all and answers nothing.
type sink struct {
	once sync.Once
	done chan struct{}
}

func (s *sink) Medium() link.Medium                   { return link.Ethernet }
func (s *sink) Send(f [][]byte) (int, error)          { return len(f), nil }
func (s *sink) Counters() link.Counters               { return link.Counters{} }
func (s *sink) Busy() time.Duration                   { return 0 }
func (s *sink) Receive(func([]byte, time.Time)) error { <-s.done; return net.ErrClosed }
func (s *sink) Close() error                          { s.once.Do(func() { close(s.done) }); return nil }

// BenchmarkSender is the whole of a sender, but for the kernel's part, with a
// budget per host and without.
func BenchmarkSender(b *testing.B) {
	for name, hosts := range map[string]HostPacer{"free": nil, "hosts": NewHosts(1e9)} {
		b.Run(name, func(b *testing.B) {
			w := newWorld()
			cfg := Config{Routes: w, Neighbors: w, Hosts: hosts, Tries: 1, RetryAfter: time.Nanosecond, Linger: time.Minute}
			cfg.Open = func(route.Hop, link.Filter) (Wire, error) { return &sink{done: make(chan struct{})}, nil }
			if err := cfg.complete(); err != nil {
				b.Fatal(err)
			}
			s := newSweeper(cfg, []uint16{61000, 61001, 61002, 61003}, newSecret([16]byte{1}))
			defer s.Close()
			p := tcpPlan(1<<16, 22, 80, 443, 8080)
			n, _ := p.Len()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Sweep(context.Background(), p, func(capture.Reply) {}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/packet")
		})
	}
}

// BenchmarkReceive is what an answer costs from the ring to the inbox.
func BenchmarkReceive(b *testing.B) {
	w := newWorld()
	s := w.sweeper(b, Config{})
	p := tcpPlan(1<<16, 80)
	r, err := s.newRun(p)
	if err != nil {
		b.Fatal(err)
	}
	r.win.size = chunkMost
	s.enter(r)
	defer s.leave(r)
	o, err := s.outlet(&route.Hop{Link: route.Interface{Name: "near"}})
	if err != nil {
		b.Fatal(err)
	}
	if err := o.from(self4, selfMAC); err != nil {
		b.Fatal(err)
	}
	frames := make([][]byte, chunkMost)
	for i := range frames {
		a, port, _ := r.order.At(uint64(i))
		c := s.judge.secret.cookie(a, port, frame.ProtoTCP)
		probe := frame.Packet{Src: self4, Dst: a, SrcPort: s.judge.source(c), DstPort: port, Seq: c.seq()}
		frames[i] = (&fakeAnswer{flags: frame.FlagRST | frame.FlagACK}).build(&probe)
	}
	own := outlet{s: s, hop: o.hop, medium: o.medium} // as its receiver has the packet
	own.sources.Store(o.sources.Load())
	at := time.Now()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%chunkMost == 0 {
			r.win.slot(0).Store(newChunk(0, chunkMost))
		}
		own.take(frames[i%chunkMost], at)
		if i%1000 == 999 {
			r.in.take()
		}
	}
	if r.validated.Load() != uint64(b.N) {
		b.Errorf("%d of %d answers were taken", r.validated.Load(), b.N)
	}
}

// BenchmarkCookie and BenchmarkOrder are the parts of BenchmarkPacket that are
// not package frame's.
func BenchmarkCookie(b *testing.B) {
	s, a := newSecret([16]byte{1}), self4
	var sum cookie
	for i := uint16(0); b.Loop(); i++ {
		sum ^= s.cookie(a, i, frame.ProtoTCP)
	}
	if sum == 1 {
		b.Log(sum)
	}
}

func BenchmarkOrder(b *testing.B) {
	p := tcpPlan(1<<16, 22, 80, 443, 8080)
	order, err := p.Order()
	if err != nil {
		b.Fatal(err)
	}
	n, _ := p.Len()
	for i := uint64(0); b.Loop(); i++ {
		order.At(i & (n - 1)) // n is a power of two
	}
}
