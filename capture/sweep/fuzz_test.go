package sweep

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"sonde/capture"
	"sonde/capture/frame"
	"sonde/capture/route"
)

// FuzzReceive gives the receiver any frame. What it takes for an answer must
// be of a target of the plan, repeat its cookie, and come once.
func FuzzReceive(f *testing.F) {
	w := newWorld()
	key := newSecret([16]byte{1, 2, 3})
	plan := capture.Plan{Network: capture.TCP, Addrs: targets(4), Ports: []uint16{80, 443}, Seed: 1}
	datagrams := plan
	datagrams.Network = capture.UDP
	ports := []uint16{61000, 61001, 61003, 61004}
	j := newJudge(key, ports)
	for _, proto := range []uint8{frame.ProtoTCP, frame.ProtoUDP} {
		a := plan.Addrs.At(1)
		c := key.cookie(a, 80, proto)
		probe := frame.Packet{Proto: proto, Src: self4, Dst: a, SrcPort: j.source(c), DstPort: 80, Seq: c.seq()}
		for _, x := range []fakeAnswer{{flags: frame.FlagSYN | frame.FlagACK}, {flags: frame.FlagRST | frame.FlagACK},
			{udp: true, payload: []byte("hello")}, {icmp: true, code: 3}, {icmp: true, code: 1, from: router}, {flags: frame.FlagACK}} {
			f.Add(x.build(&probe))
		}
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		cfg := Config{Routes: w, Neighbors: w, Open: w.open}
		if err := cfg.complete(); err != nil {
			t.Fatal(err)
		}
		s := newSweeper(cfg, ports, key)
		defer s.cancel()
		o := &outlet{s: s, hop: route.Hop{Link: route.Interface{Name: "near"}}, medium: frame.Ethernet, wake: make(chan struct{}, 1)}
		o.sources.Store(&map[netip.Addr]source{})
		if err := o.from(self4, selfMAC); err != nil {
			t.Fatal(err)
		}
		var runs []*run
		for _, p := range []capture.Plan{plan, datagrams} {
			r, err := s.newRun(p)
			if err != nil {
				t.Fatal(err)
			}
			r.win.slot(0).Store(newChunk(0, 8))
			runs = append(runs, r)
		}
		s.runs.Store(&runs)
		before := bytes.Clone(b)
		o.take(b, time.Now())
		o.take(b, time.Now())
		if !bytes.Equal(b, before) {
			t.Fatal("the frame was changed")
		}
		var p frame.Packet
		_ = p.Decode(frame.Ethernet, b)
		for _, r := range runs {
			told := r.in.take()
			if len(told) > 1 {
				t.Fatalf("one frame, %d replies", len(told))
			}
			for _, x := range told {
				check(t, &j, &p, &x.Reply)
			}
		}
		for _, r := range o.queue {
			if p.Flags&(frame.FlagSYN|frame.FlagACK) != frame.FlagSYN|frame.FlagACK || r.dst != p.Src || r.seq != p.Ack {
				t.Fatalf("a reset %+v for %+v", r, p)
			}
		}
	})
}

// check holds a reply against the packet that it is made of.
func check(t *testing.T, j *judge, p *frame.Packet, x *capture.Reply) {
	t.Helper()
	proto := uint8(frame.ProtoTCP)
	if x.Network == capture.UDP {
		proto = frame.ProtoUDP
	}
	c := j.secret.cookie(x.Addr.Addr(), x.Addr.Port(), proto)
	if i, ok := targets(4).Index(x.Addr.Addr()); !ok || x.Addr.Port() != 80 && x.Addr.Port() != 443 {
		t.Fatalf("%+v is not in the plan (%d)", x, i)
	}
	if p.Dst != self4 {
		t.Fatalf("%+v is of a packet to %s", x, p.Dst)
	}
	if proto == frame.ProtoTCP && (p.Proto == frame.ProtoTCP && p.Ack != c.seq()+1 ||
		p.Proto == frame.ProtoICMP && p.Quoted.Seq != c.seq()) {
		t.Fatalf("%+v does not have the cookie", x)
	}
	if x.Kind == capture.Accepted || x.Kind == capture.Answered {
		if p.Src != x.Addr.Addr() || p.SrcPort != x.Addr.Port() {
			t.Fatalf("%+v is of a packet from %s port %d", x, p.Src, p.SrcPort)
		}
	}
}
