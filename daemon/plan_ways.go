package main

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"slices"
	"strings"

	"sonde/capture/route"
	"sonde/config"
)

// A way is how packets of a watch leave this machine.
type way struct {
	Source    netip.Addr `json:"source"`
	Interface string     `json:"interface,omitempty"`
	Gateway   netip.Addr `json:"gateway,omitzero"`
	OnLink    bool       `json:"on_link,omitempty"`
}

// String gives "from 192.0.2.10 on eth0, by 192.0.2.1".
func (w way) String() string {
	s := "from " + w.Source.String()
	if w.Interface != "" {
		s += " on " + w.Interface
	}
	switch {
	case w.OnLink:
		s += ", on the link"
	case w.Gateway.IsValid():
		s += ", by " + w.Gateway.String()
	}
	return s
}

// A reachFunc yields the ways to the addresses of a prefix by an interface, ""
// for any, and an error for those that are not reached.
type reachFunc func(p netip.Prefix, via string) iter.Seq2[way, error]

// reach reads the ways from the routes of this machine, and asks the kernel
// about single addresses where they cannot be read.
func (n *network) reach() reachFunc {
	if n.routes == nil {
		return sampled(kernelWay)
	}
	return routed(n.routes)
}

// routed reads the ways from the routes.
func routed(t *route.Table) reachFunc {
	return func(p netip.Prefix, via string) iter.Seq2[way, error] {
		return func(yield func(way, error) bool) {
			for span, err := range spans(t, p, via) {
				w := way{Source: span.Hop.Src, Interface: span.Hop.Link.Name, OnLink: span.Hop.OnLink && !span.Hop.Local}
				if err == nil && !span.Hop.OnLink {
					w.Gateway = span.Hop.Next
				}
				if !yield(w, err) {
					return
				}
			}
		}
	}
}

// spans gives the stretches of a prefix that share a way, but for addresses that
// are no host's: the broadcast address of a network on a link.
func spans(t *route.Table, p netip.Prefix, via string) iter.Seq2[route.Span, error] {
	return func(yield func(route.Span, error) bool) {
		for span, err := range t.Reach(p, via) {
			if errors.Is(err, route.ErrNotUnicast) {
				continue
			}
			if err != nil {
				err = fmt.Errorf("way to %s: %w", span.First, err)
			}
			if !yield(span, err) {
				return
			}
		}
	}
}

// samples bounds how many addresses of a prefix are asked the way to where the
// routes cannot be read. Routes more specific than a 64th of it may be missed.
const samples = 64

// sampled asks the way to some addresses of a prefix, the first and the last
// among them.
func sampled(ask func(netip.Addr) (way, error)) reachFunc {
	return func(p netip.Prefix, _ string) iter.Seq2[way, error] {
		return func(yield func(way, error) bool) {
			part := config.NewAddrSet(config.PrefixRange(p))
			n := part.Len()
			steps := min(n, samples)
			for i := range steps {
				at := i
				if n > steps {
					at = i * ((n - 1) / (steps - 1))
				}
				if i == steps-1 {
					at = n - 1
				}
				if !yield(ask(part.At(at))) {
					return
				}
			}
		}
	}
}

// kernelWay asks the kernel for the source address by connecting a UDP socket,
// which sends nothing.
func kernelWay(dst netip.Addr) (way, error) {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(dst, 9)))
	if err != nil {
		return way{}, fmt.Errorf("way to %s: %w", dst, err)
	}
	defer func() { _ = c.Close() }()
	return way{Source: c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().WithZone("")}, nil
}

// waysOf gives the different ways to the addresses of a watch, and the first
// reason why there is none to some.
func waysOf(cfg *config.Config, w *config.Watch, reach reachFunc) (ways []way, err error) {
	each := func(p netip.Prefix, via string) {
		for y, e := range reach(p, via) {
			if e != nil {
				if err == nil {
					err = e
				}
				continue
			}
			if !slices.Contains(ways, y) {
				ways = append(ways, y)
			}
		}
	}
	for _, r := range cfg.Scope(w).Ranges() {
		via := cmp.Or(w.Interface, r.First.Zone())
		for _, p := range prefixes(config.NewAddrSet(r)) {
			each(p, via)
		}
	}
	return ways, err
}

// joinWays writes the ways for people, few of them in full.
func joinWays(ways []way) string {
	const most = 3
	var parts []string
	for i, w := range ways {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(ways)-most))
			break
		}
		parts = append(parts, w.String())
	}
	return strings.Join(parts, "; ")
}
