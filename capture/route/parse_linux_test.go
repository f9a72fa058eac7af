package route

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&3)...)
}

func message(head []byte, attributes ...[]byte) []byte {
	for _, a := range attributes {
		head = append(head, a...)
	}
	return head
}

func TestParseNeighbor(t *testing.T) {
	head := func(family byte, state uint16, flags byte) []byte {
		b := neighborMessage(int(family), 7)
		binary.NativeEndian.PutUint16(b[8:], state)
		b[10] = flags
		return b
	}
	v4, mac := []byte{198, 18, 1, 5}, []byte{2, 0, 0, 0, 0, 5}
	v6 := netip.MustParseAddr("2001:db8::5")
	for _, c := range []struct {
		name string
		in   []byte
		want Neighbor
		ok   bool
	}{
		{"reachable", message(head(unix.AF_INET, 2, 0), attribute(unix.NDA_DST, v4), attribute(unix.NDA_LLADDR, mac)),
			Neighbor{Link: 7, Addr: netip.AddrFrom4([4]byte(v4)), MAC: [6]byte(mac), State: Reachable}, true},
		{"failed keeps no MAC", message(head(unix.AF_INET, 0x20, 0), attribute(unix.NDA_DST, v4), attribute(unix.NDA_LLADDR, mac)),
			Neighbor{Link: 7, Addr: netip.AddrFrom4([4]byte(v4)), State: Failed}, true},
		{"router", message(head(unix.AF_INET6, 4, unix.NTF_ROUTER), attribute(unix.NDA_DST, v6.AsSlice()), attribute(unix.NDA_LLADDR, mac)),
			Neighbor{Link: 7, Addr: v6, MAC: [6]byte(mac), State: Stale, Router: true}, true},
		{name: "of a bridge", in: message(head(unix.AF_BRIDGE, 2, 0), attribute(unix.NDA_LLADDR, mac))},
		{name: "proxy", in: message(head(unix.AF_INET, 2, unix.NTF_PROXY), attribute(unix.NDA_DST, v4))},
		{name: "other family", in: message(head(unix.AF_INET6, 2, 0), attribute(unix.NDA_DST, v4))},
		{name: "no address", in: head(unix.AF_INET, 2, 0)},
		{name: "short", in: make([]byte, 11)},
	} {
		got, ok := parseNeighbor(c.in)
		if ok != c.ok {
			t.Errorf("%s: ok %v, want %v", c.name, ok, c.ok)
		} else if diff := cmp.Diff(c.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); ok && diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.name, diff)
		}
	}
}

func TestParseNeighborhood(t *testing.T) {
	number := func(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
	config := make([]byte, 32)
	copy(config[ndtcEntries:], number(77))
	stats := make([]byte, 88)
	binary.NativeEndian.PutUint64(stats[ndtsTableFulls:], 3)
	b := message([]byte{unix.AF_INET, 0, 0, 0}, attribute(ndtaName, []byte("arp_cache\x00")),
		attribute(ndtaThresh1, number(128)), attribute(ndtaThresh2, number(512)),
		attribute(ndtaThresh3, number(1024)), attribute(ndtaConfig, config), attribute(ndtaStats, stats))
	got, ok := parseNeighborhood(b, "arp_cache")
	if want := (Neighborhood{128, 512, 1024, 77, 3}); !ok || got != want {
		t.Errorf("got %+v, %v, want %+v", got, ok, want)
	}
	if _, ok := parseNeighborhood(b, "ndisc_cache"); ok {
		t.Error("another table was taken")
	}
}

// Whatever a message holds, reading it ends, within its bytes.
func FuzzMessages(f *testing.F) {
	f.Add(message(neighborMessage(unix.AF_INET, 1), attribute(unix.NDA_DST, []byte{198, 18, 1, 1})))
	f.Add(message([]byte{2, 0, 0, 0}, attribute(ndtaThresh1, []byte{1, 0, 0, 0})))
	f.Add([]byte{2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, ok := parseNeighbor(b); ok && !n.Addr.IsValid() {
			t.Error("a neighbour without an address")
		}
		_, _ = parseNeighborhood(b, "arp_cache")
		total := 0
		for _, v := range attributes(b) {
			total += len(v) + unix.SizeofRtAttr
		}
		if total > len(b) {
			t.Errorf("attributes of %d bytes in %d", total, len(b))
		}
	})
}
