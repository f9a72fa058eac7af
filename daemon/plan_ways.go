package main

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

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

// A hopFunc gives the way to an address.
type hopFunc func(dst netip.Addr) (way, error)

// kernelHop asks the kernel for the source address by connecting a UDP socket,
// which sends nothing.
func kernelHop(dst netip.Addr) (way, error) {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(dst, 9)))
	if err != nil {
		return way{}, fmt.Errorf("way to %s: %w", dst, err)
	}
	defer c.Close()
	return way{Source: c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap().WithZone("")}, nil
}

// samples bounds how many addresses of a range are asked the way to. Routes
// more specific than a 64th of a range may be missed.
const samples = 64

// waysOf gives the different ways to the addresses of a scope, and the first
// reason why there is none to some.
func waysOf(scope config.AddrSet, hop hopFunc) (ways []way, err error) {
	for _, r := range scope.Ranges() {
		part := config.NewAddrSet(r)
		n := part.Len()
		steps := min(n, samples)
		for i := range steps {
			// The first and the last address are among them.
			at := i
			if n > steps {
				at = i * ((n - 1) / (steps - 1))
			}
			if i == steps-1 {
				at = n - 1
			}
			w, e := hop(part.At(at))
			if e != nil {
				if err == nil {
					err = e
				}
				continue
			}
			if !slices.Contains(ways, w) {
				ways = append(ways, w)
			}
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
