package capture

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// TestInterfaceOfConnects: all that is tried goes by the interface, or not at
// all.
func TestInterfaceOfConnects(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := netip.MustParseAddrPort(udp.LocalAddr().String())
	if err := udp.Close(); err != nil { // nobody listens there now
		t.Fatal(err)
	}
	targets := []Target{{netip.MustParseAddrPort(l.Addr().String()), TCP}, {port, UDP},
		{netip.AddrPortFrom(port.Addr(), portTFTP), UDP}}
	for name, want := range map[string]string{"lo": "", "no-such-link0": "not-tried: no such device"} {
		c := NewConnect(Config{Interface: name, Timeout: 50 * time.Millisecond, Tries: 1})
		stats, err := c.Look(t.Context(), slices.Values(targets), func(r Reply) {
			if (r.Reason == want) != (want != "") {
				t.Errorf("%s: %s %s: %s", name, r.Addr, r.Network, r.Reason)
			}
		})
		if err != nil || (stats.NotTried > 0) != (want != "") || stats.Degraded != (want != "") {
			t.Errorf("%s: %v, %+v", name, err, stats)
		}
	}
}
