package onlink

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"sonde/capture"
	"sonde/capture/frame"
	"sonde/capture/route"
)

// Echo asks the addresses of the plan by ICMP or ICMPv6 echo, wherever the
// routes lead, and tells each that answers once, with the limits of Sweep.
// Addresses of a link are asked by ARP or neighbour discovery first, and those
// that do not answer that are not asked further; a Host's MAC is that of the
// last hop. Our own addresses are skipped, as is what no route leads to.
//
// That a router refuses (ICMP unreachable) is not told: it says nothing for the
// address.
func (f *Finder) Echo(ctx context.Context, via string, p capture.Plan, yield func(Host)) (Stats, error) {
	w, err := f.newSweep(via, p, yield)
	if err != nil {
		return Stats{}, fmt.Errorf("sweep by echo: %w", err)
	}
	there := make([]uint64, len(w.done)) // a bit for each that answers on its link
	stats, err := f.Sweep(ctx, via, p, func(h Host) {
		if rank, ok := w.order.Rank(h.Addr, 0); ok {
			there[rank/64] |= 1 << (rank % 64)
		}
	})
	if err != nil {
		return stats, fmt.Errorf("sweep by echo: %w", err)
	}
	w.stats.Sent, w.stats.Lost = stats.Sent, stats.Lost
	w.accept = f.acceptEcho
	ask := func(ctx context.Context, a netip.Addr) error {
		h, err := f.cfg.Routes.Hop(a, via)
		rank, _ := w.order.Rank(a, 0)
		if err == nil && h.OnLink && h.Link.Resolves() && there[rank/64]&(1<<(rank%64)) == 0 {
			return nil // nobody has the address
		}
		return f.echo(ctx, w, a)
	}
	if err := w.run(ctx, f, func(h route.Hop) bool { return !h.Local }, ask); err != nil {
		return w.stats, fmt.Errorf("sweep by echo: %w", err)
	}
	return w.stats, nil
}

// echo sends one request. One whose router does not answer is left out.
func (f *Finder) echo(ctx context.Context, w *sweep, a netip.Addr) error {
	err := f.transmit(ctx, &w.stats, a, w.via, func(s *station, h route.Hop) error {
		mac, err := f.Resolve(ctx, h)
		if err != nil {
			return err
		}
		w.watch(f, h.Link)
		return s.ping(h.Src, a, mac, f.identity(a))
	})
	if errors.Is(err, ErrUnresolved) {
		w.stats.Unresolved++
		return nil
	}
	return err
}

// acceptEcho takes an echo reply that brings back what was sent to its sender.
func (f *Finder) acceptEcho(_ *station, p *frame.Packet) (Host, bool) {
	reply := p.Proto == frame.ProtoICMP && p.Type == frame.ICMPEchoReply ||
		p.Proto == frame.ProtoICMPv6 && p.Type == frame.ICMPv6EchoReply
	if !reply || !p.Src.IsValid() || f.identity(p.Src) != uint32(p.EchoID)<<16|uint32(p.EchoSeq) {
		return Host{}, false
	}
	return Host{Addr: p.Src, MAC: p.SrcMAC, Reason: "echo-reply"}, true
}
