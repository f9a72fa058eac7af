//go:build linux

package capturetest

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"
)

// A Flood sends a sensor SYN-ACKs that nobody asked for, from spoofed addresses
// of an IPv4 prefix and random ports, at a steady rate.
type Flood struct {
	Interface      string
	SrcMAC, DstMAC [6]byte
	From           netip.Prefix
	To             netip.Addr
	Low, High      uint16 // the ports of To, both included
	PerSecond      int
	For            time.Duration
}

// FloodStats is what a flood has sent, and in how long.
type FloodStats struct {
	Sent uint64
	Took time.Duration
}

// PerSecond is the rate that the flood had.
func (s FloodStats) PerSecond() float64 { return float64(s.Sent) / s.Took.Seconds() }

// Start begins the flood from one end of a link to the other. Its FloodStats
// are the process's only value.
func (f Flood) Start(t testing.TB, from, to Port) *Process {
	t.Helper()
	f.Interface, f.SrcMAC, f.DstMAC = from.Name, from.MAC(t), to.MAC(t)
	p := from.In.Start(t, "flood", f)
	p.Ready(t)
	return p
}

// flood is the role of a Flood.
func flood(ctx context.Context, spec json.RawMessage, tell func(any) error) error {
	var f Flood
	if err := json.Unmarshal(spec, &f); err != nil {
		return err
	}
	i, err := net.InterfaceByName(f.Interface)
	if err != nil {
		return err
	}
	fd, err := openSender(i.Index)
	if err != nil {
		return err
	}
	if err := tell(true); err != nil {
		return err
	}
	out := newBatch(fd, 64)
	began := time.Now()
	for ctx.Err() == nil && time.Since(began) < f.For {
		if due := uint64(time.Since(began).Seconds() * float64(f.PerSecond)); out.sent < due {
			if err := f.send(out, due-out.sent); err != nil {
				return err
			}
			continue
		}
		time.Sleep(200 * time.Microsecond)
	}
	return tell(FloodStats{out.sent, time.Since(began)})
}

func (f *Flood) send(out *batch, n uint64) error {
	base := f.From.Masked().Addr().As4()
	hosts := uint32(1)<<(32-f.From.Bits()) - 1
	p := tcpFrame{srcMAC: f.SrcMAC, dstMAC: f.DstMAC, dst: f.To.As4(), flags: SYN | ACK}
	for range n {
		r := rand.Uint64()
		host := uint32(r) & hosts
		p.src = [4]byte{base[0] | byte(host>>24), base[1] | byte(host>>16), base[2] | byte(host>>8), base[3] | byte(host)}
		p.sport = uint16(r>>32) | 1
		p.dport = f.Low + uint16(uint32(r>>48)%uint32(f.High-f.Low+1))
		p.seq, p.ack = rand.Uint32(), rand.Uint32()
		if err := out.add(p.put(out.next())); err != nil {
			return err
		}
	}
	return out.flush()
}
