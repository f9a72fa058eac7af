package passive

import (
	"fmt"
	"net"
	"net/netip"
)

// interfacesOf gives the names of the interfaces, but for loopback, that have a
// network of their own which overlaps takes. One that is down counts: it may
// come up.
func interfacesOf(overlaps func(netip.Prefix) bool) ([]string, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var out []string
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // it has just gone
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && overlaps(p.Masked()) {
				out = append(out, i.Name)
				break
			}
		}
	}
	return out, nil
}
