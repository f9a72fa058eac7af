package control

import (
	"fmt"
	"net/netip"
	"strings"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// maxEndpoint is longer than any endpoint is written: an address with an
// interface, a port and a transport.
const maxEndpoint = 80

// ParseEndpoint reads "192.0.2.1:443/tcp" or "[2001:db8::1]:53/udp"; without a
// transport it is TCP. The zone of its key is left open.
func ParseEndpoint(s string) (event.Key, error) {
	bad := func() (event.Key, error) {
		return event.Key{}, fmt.Errorf(`%.80q is no endpoint; write one like "192.0.2.1:443/tcp" or "[2001:db8::1]:53/udp"`, s)
	}
	if len(s) > maxEndpoint {
		return bad()
	}
	at, transport, named := strings.Cut(s, "/")
	if !named {
		transport = string(probes.TCP)
	}
	ap, err := netip.ParseAddrPort(at)
	if err != nil || ap.Port() == 0 || transport != string(probes.TCP) && transport != string(probes.UDP) {
		return bad()
	}
	return event.Key{Addr: ap.Addr().Unmap(), Transport: probes.Transport(transport), Port: ap.Port()}, nil
}

// FormatEndpoint writes a key as ParseEndpoint reads it, without its zone.
func FormatEndpoint(k event.Key) string {
	return netip.AddrPortFrom(k.Addr, k.Port).String() + "/" + string(k.Transport)
}
