//go:build linux

package capturetest

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/bpf"
)

// Bare is the least that a SYN sweep could do: ready-made frames in which the
// destination's last two bytes change, and the checksums by them, sent by
// sendmmsg, and what comes back counted, if Receive is set. It has no order,
// cookie or budget.
type Bare struct {
	Interface      string
	SrcMAC, DstMAC [6]byte
	Src            netip.Addr
	Prefix         netip.Prefix // a /16
	Port           uint16       // of the targets
	Packets        uint64
	Receive        bool
}

// BareStats is what a bare loop did, and what it cost its process.
type BareStats struct {
	Sent, Received uint64
	Took, CPU      time.Duration // while it sent
}

// PerPacket is the CPU time of one packet that was sent.
func (s BareStats) PerPacket() time.Duration { return s.CPU / time.Duration(max(s.Sent, 1)) }

// bareBatch is as many frames as one call sends; more gains nothing here.
const bareBatch = 256

// onlyTCP takes TCP over IPv4.
var onlyTCP = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 12, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0x0800, SkipTrue: 3},
	bpf.LoadAbsolute{Off: 23, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: ProtoTCP, SkipTrue: 1},
	bpf.RetConstant{Val: 256},
	bpf.RetConstant{Val: 0},
}

// bare is the role of a Bare.
func bare(ctx context.Context, spec json.RawMessage, tell func(any) error) error {
	var b Bare
	if err := json.Unmarshal(spec, &b); err != nil {
		return err
	}
	in, err := openRing(b.Interface, ringConfig{blocks: 128, incoming: true, filter: onlyTCP})
	if err != nil {
		return err
	}
	defer in.close()
	var stats BareStats
	var reader sync.WaitGroup
	if b.Receive {
		reader.Go(func() { in.read(func(ringFrame) { stats.Received++ }, func() {}) })
	}
	fd, err := openSender(in.index)
	if err != nil {
		return err
	}
	cpu, began := CPU(), time.Now()
	sent, err := b.send(ctx, newBatch(fd, bareBatch))
	took, used := time.Since(began), CPU()-cpu
	in.stop()
	reader.Wait()
	if err != nil {
		return err
	}
	stats.Sent, stats.Took, stats.CPU = sent, took, used
	return tell(stats)
}

func (b *Bare) send(ctx context.Context, out *batch) (uint64, error) {
	p := tcpFrame{srcMAC: b.SrcMAC, dstMAC: b.DstMAC, src: b.Src.As4(), dst: b.Prefix.Addr().As4(),
		sport: 61000, dport: b.Port, flags: SYN}
	for i := range out.buf {
		p.put(out.buf[i])
	}
	ip, tcp := binary.BigEndian.Uint16(out.buf[0][24:]), binary.BigEndian.Uint16(out.buf[0][50:])
	for i := range b.Packets {
		f, host := out.next(), uint16(i)
		binary.BigEndian.PutUint16(f[32:], host)
		// The frames are for host 0, so its sums only have to take it off.
		binary.BigEndian.PutUint16(f[24:], less(ip, host))
		binary.BigEndian.PutUint16(f[50:], less(tcp, host))
		if err := out.add(tcpFrameSize); err != nil {
			return out.sent, err
		}
		if i%4096 == 0 && ctx.Err() != nil {
			break
		}
	}
	err := out.flush()
	return out.sent, err
}

// less is the ones' complement difference of RFC 1624.
func less(a, b uint16) uint16 {
	s := uint32(a) + uint32(^b)
	return uint16(s) + uint16(s>>16)
}
