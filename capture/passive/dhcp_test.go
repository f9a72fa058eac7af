package passive

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// dhcpMessage is a message of a client with the MAC 02:00:00:00:00:07, with
// options behind the cookie.
func dhcpMessage(client, your string, options ...byte) []byte {
	b := make([]byte, dhcpOptions, dhcpOptions+len(options))
	b[0], b[1], b[2] = 1, 1, 6
	put4(b[dhcpClientAddr:], client)
	put4(b[dhcpYourAddr:], your)
	copy(b[dhcpHardwareAddr:], []byte{2, 0, 0, 0, 0, 7})
	copy(b[dhcpCookie:], []byte{0x63, 0x82, 0x53, 0x63})
	return append(b, options...)
}

func put4(b []byte, a string) {
	if a != "" {
		ip := netip.MustParseAddr(a).As4()
		copy(b, ip[:])
	}
}

var clientMAC = MAC{2, 0, 0, 0, 0, 7}

func TestParseDHCP(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		want lease
		ok   bool
	}{
		"a request for an address, with a name": {
			dhcpMessage("", "",
				53, 1, 3, // REQUEST
				50, 4, 198, 18, 0, 9, // requested address
				12, 3, 'n', 'a', 's',
				60, 8, 'M', 'S', 'F', 'T', ' ', '5', '.', '0',
				255),
			lease{netip.MustParseAddr("198.18.0.9"), clientMAC, "nas", "MSFT 5.0"}, true,
		},
		"a renewal names its address in the header": {
			dhcpMessage("198.18.0.10", "", 53, 1, 3, 255),
			lease{addr: netip.MustParseAddr("198.18.0.10"), mac: clientMAC}, true,
		},
		"an acknowledgement": {
			dhcpMessage("", "198.18.0.11", 0, 0, 53, 1, 5, 255, 53, 1, 1), // pads; what follows the end is not read
			lease{addr: netip.MustParseAddr("198.18.0.11"), mac: clientMAC}, true,
		},
		"an acknowledgement of an INFORM": {
			dhcpMessage("198.18.0.12", "", 53, 1, 5, 255),
			lease{addr: netip.MustParseAddr("198.18.0.12"), mac: clientMAC}, true,
		},
		"a qualified name, and options that are cut off": {
			dhcpMessage("198.18.0.13", "", 53, 1, 3, 81, 9, 0, 0, 0, 'p', '.', 'l', 'a', 'n', '.', 12, 9, 'x'),
			lease{netip.MustParseAddr("198.18.0.13"), clientMAC, "p.lan", ""}, true,
		},
		"a name that is none, a class of other bytes": {
			dhcpMessage("198.18.0.14", "", 53, 1, 3, 12, 4, 'a', '\n', 'b', '"', 60, 3, 'a', 0x1b, 0xff, 255),
			lease{netip.MustParseAddr("198.18.0.14"), clientMAC, "", "a??"}, true,
		},
		"a DISCOVER":          {dhcpMessage("198.18.0.1", "198.18.0.1", 53, 1, 1, 255), lease{}, false},
		"no message type":     {dhcpMessage("198.18.0.1", "198.18.0.1", 255), lease{}, false},
		"a refusal":           {dhcpMessage("198.18.0.1", "198.18.0.1", 53, 1, 6, 255), lease{}, false},
		"an answer without":   {dhcpMessage("", "", 53, 1, 5, 255), lease{}, false},
		"cut off in the head": {dhcpMessage("198.18.0.1", "", 53, 1, 3)[:dhcpOptions-1], lease{}, false},
		"empty":               {nil, lease{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := parseDHCP(c.b)
			if ok != c.ok {
				t.Fatalf("ok %t, want %t", ok, c.ok)
			}
			if d := cmp.Diff(c.want, got, cmp.AllowUnexported(lease{}), cmp.Comparer(sameAddr)); ok && d != "" {
				t.Errorf("lease (-want +got):\n%s", d)
			}
		})
	}
}

func sameAddr(a, b netip.Addr) bool { return a == b }

func TestDHCPOfOtherHardwareIsNotRead(t *testing.T) {
	for at, value := range map[int]byte{dhcpHardwareType: 32, dhcpHardwareLen: 16, dhcpCookie: 0} {
		b := dhcpMessage("198.18.0.1", "", 53, 1, 3, 255)
		b[at] = value
		if l, ok := parseDHCP(b); ok {
			t.Errorf("byte %d is %d: took %+v", at, value, l)
		}
	}
}

func FuzzParseDHCP(f *testing.F) {
	f.Add(dhcpMessage("", "", 53, 1, 3, 50, 4, 198, 18, 0, 9, 12, 3, 'n', 'a', 's', 255))
	f.Add(dhcpMessage("", "198.18.0.11", 0, 53, 1, 5, 81, 5, 0, 0, 0, 'p', '.', 60, 1, 'x'))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, ok := parseDHCP(b)
		if !ok {
			return
		}
		if !l.addr.Is4() || l.addr.IsUnspecified() {
			t.Errorf("address %v", l.addr)
		}
		isClean(t, l.name, l.vendor)
	})
}

// isClean fails for texts that could do harm in a log.
func isClean(t *testing.T, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if len(s) > nameMost {
			t.Errorf("%d bytes", len(s))
		}
		for _, c := range []byte(s) {
			if c < ' ' || c > '~' {
				t.Errorf("byte %#x in %q", c, s)
			}
		}
	}
}
