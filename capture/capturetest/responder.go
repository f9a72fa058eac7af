//go:build linux

package capturetest

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/net/bpf"
)

// builtin are the roles of this package.
var builtin = map[string]Role{
	"responder": respond,
	"flood":     flood,
	"bare":      bare,
}

// A Responder answers SYNs to all addresses of an IPv4 prefix faster than the
// kernel's stack: with a SYN-ACK where the pair is open, with a RST elsewhere.
// It remembers nothing: what follows a SYN-ACK is ignored.
type Responder struct {
	Interface    string
	Prefix       netip.Prefix
	OpenPerMille int // of the pairs
}

// ResponderStats is what a responder has done.
type ResponderStats struct {
	SYNs, Open, Dropped uint64 // Dropped: SYNs that it got no room for
}

// Open says whether a pair is open.
func (r Responder) Open(a netip.Addr, port uint16) bool {
	b := a.As4()
	h := (uint64(binary.BigEndian.Uint32(b[:]))<<16 | uint64(port)) * 0x9e3779b97f4a7c15
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return int((h>>33)%1000) < r.OpenPerMille
}

// Start lets the far end of a pair respond. The packets that it answers go no
// further up that host's stack.
func (r Responder) Start(t testing.TB, p Port) *Process {
	t.Helper()
	r.Interface = p.Name
	Blackhole(t, p, r.Prefix)
	proc := p.In.Start(t, "responder", r)
	proc.Ready(t)
	return proc
}

// Blackhole drops what comes in for a prefix of IPv4 before the host looks at
// it, and after the captures have.
func Blackhole(t testing.TB, p Port, prefix netip.Prefix) {
	t.Helper()
	p.In.NFT(t, fmt.Sprintf(`table netdev blackhole {
chain in { type filter hook ingress device %q priority 0
ip daddr %s drop
}
}
`, p.Name, prefix))
}

// onlySYNs takes IPv4 SYNs without ACK, in whole datagrams, not VLAN tagged.
var onlySYNs = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 12, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0x0800, SkipTrue: 8},
	bpf.LoadAbsolute{Off: 23, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: ProtoTCP, SkipTrue: 6},
	bpf.LoadAbsolute{Off: 20, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x3fff, SkipTrue: 4},
	bpf.LoadMemShift{Off: 14},
	bpf.LoadIndirect{Off: 14 + 13, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: SYN, SkipTrue: 1},
	bpf.RetConstant{Val: 256},
	bpf.RetConstant{Val: 0},
}

// respond is the role of a Responder.
func respond(ctx context.Context, spec json.RawMessage, tell func(any) error) error {
	var r Responder
	if err := json.Unmarshal(spec, &r); err != nil {
		return err
	}
	in, err := openRing(r.Interface, ringConfig{blocks: 128, incoming: true, filter: onlySYNs})
	if err != nil {
		return err
	}
	defer in.close()
	fd, err := openSender(in.index)
	if err != nil {
		return err
	}
	out := newBatch(fd, 256)
	stop := context.AfterFunc(ctx, in.stop)
	defer stop()
	if err := tell(true); err != nil {
		return err
	}
	var stats ResponderStats
	in.read(func(f ringFrame) {
		stats.SYNs++
		if r.answer(out, f.bytes) {
			stats.Open++
		}
	}, func() { _ = out.flush() })
	if stats.Dropped, err = in.dropped(); err != nil {
		return err
	}
	return tell(stats)
}

// answer puts the answer to a SYN into the batch. A frame that cannot be sent
// is one that is lost.
func (r *Responder) answer(out *batch, b []byte) (open bool) {
	tcp := 14 + int(b[14]&15)*4
	if len(b) < tcp+20 {
		return false
	}
	src, dst := [4]byte(b[26:30]), [4]byte(b[30:34])
	sport, dport := binary.BigEndian.Uint16(b[tcp:]), binary.BigEndian.Uint16(b[tcp+2:])
	a := netip.AddrFrom4(dst)
	if !r.Prefix.Contains(a) {
		return false
	}
	open = r.Open(a, dport)
	p := tcpFrame{srcMAC: [6]byte(b), dstMAC: [6]byte(b[6:]), src: dst, dst: src, sport: dport, dport: sport,
		ack: binary.BigEndian.Uint32(b[tcp+4:]) + 1, flags: RST | ACK}
	if open {
		p.flags = SYN | ACK
		p.seq = p.ack * 0x9e3779b9
	}
	_ = out.add(p.put(out.next()))
	return open
}

// A tcpFrame is a TCP segment over IPv4 and Ethernet without options.
type tcpFrame struct {
	srcMAC, dstMAC [6]byte
	src, dst       [4]byte
	sport, dport   uint16
	seq, ack       uint32
	flags          uint8
}

const tcpFrameSize = 14 + 20 + 20

func (p *tcpFrame) put(b []byte) int {
	be := binary.BigEndian
	copy(b, p.dstMAC[:])
	copy(b[6:], p.srcMAC[:])
	be.PutUint16(b[12:], 0x0800)
	ip := b[14:34]
	copy(ip, []byte{0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, ProtoTCP, 0, 0})
	copy(ip[12:], p.src[:])
	copy(ip[16:], p.dst[:])
	be.PutUint16(ip[10:], ^sum(0, ip))
	tcp := b[34:54]
	be.PutUint16(tcp, p.sport)
	be.PutUint16(tcp[2:], p.dport)
	be.PutUint32(tcp[4:], p.seq)
	be.PutUint32(tcp[8:], p.ack)
	copy(tcp[12:], []byte{5 << 4, p.flags, 0xfa, 0xf0, 0, 0, 0, 0})
	be.PutUint16(tcp[16:], ^sum(pseudo(ip[12:20], ProtoTCP, 20), tcp))
	return tcpFrameSize
}
