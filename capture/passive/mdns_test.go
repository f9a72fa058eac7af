package passive

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
)

// A message is an mDNS response under construction, written by hand so that
// names may be what no library writes.
type message struct{ b []byte }

func newMessage(flags uint16) *message {
	m := &message{make([]byte, dnsHeader)}
	binary.BigEndian.PutUint16(m.b[2:], flags)
	return m
}

func wire(labels ...string) (b []byte) {
	for _, l := range labels {
		b = append(append(b, byte(len(l))), l...)
	}
	return append(b, 0)
}

func (m *message) record(owner []byte, kind uint16, ttl uint32, data ...byte) *message {
	binary.BigEndian.PutUint16(m.b[6:], binary.BigEndian.Uint16(m.b[6:])+1)
	m.b = append(m.b, owner...)
	m.b = binary.BigEndian.AppendUint16(m.b, kind)
	m.b = binary.BigEndian.AppendUint16(m.b, 0x8001) // IN, cache flush
	m.b = binary.BigEndian.AppendUint32(m.b, ttl)
	m.b = binary.BigEndian.AppendUint16(m.b, uint16(len(data)))
	m.b = append(m.b, data...)
	return m
}

func srv(port uint16, target ...string) []byte {
	return append([]byte{0, 0, 0, 0, byte(port >> 8), byte(port)}, wire(target...)...)
}

var sender = netip.MustParseAddr("198.18.0.20")

func readAll(b []byte) (out []announcement, ok bool) {
	ok = new(mdnsReader).read(b, sender, func(a announcement) { out = append(out, a) })
	return out, ok
}

func TestReadMDNS(t *testing.T) {
	printer := wire("Office. 2nd floor", "_ipp", "_tcp", "local") // a dot inside a label is usual
	at := func(s string) netip.Addr { return netip.MustParseAddr(s) }
	for name, c := range map[string]struct {
		b    []byte
		want []announcement
	}{
		"a service at the sender": {
			newMessage(0x8400).record(printer, dnsTypeSRV, 120, srv(631, "Printer", "local")...).b,
			[]announcement{{"tcp", "_ipp._tcp", "printer.local", sender, 631}},
		},
		"a service with its addresses": {
			newMessage(0x8400).record(printer, dnsTypeSRV, 120, srv(631, "PRINTER", "local")...).
				record(wire("printer", "Local"), dnsTypeA, 120, 198, 18, 0, 21).
				record(wire("other", "local"), dnsTypeAAAA, 120, append(make([]byte, 15), 9)...).b,
			[]announcement{
				{"", "", "printer.local", at("198.18.0.21"), 0},
				{"", "", "other.local", at("::9"), 0},
				{"tcp", "_ipp._tcp", "printer.local", at("198.18.0.21"), 631},
			},
		},
		"a subtype and UDP": {
			newMessage(0x8400).record(wire("x", "_sub", "_sleep-proxy", "_udp", "local"), dnsTypeSRV, 1, srv(5, "h")...).b,
			[]announcement{{"udp", "_sleep-proxy._udp", "h", sender, 5}},
		},
		"goodbye": {newMessage(0x8400).record(printer, dnsTypeSRV, 0, srv(631, "p", "local")...).b, nil},
		"no port": {newMessage(0x8400).record(printer, dnsTypeSRV, 9, srv(0, "p", "local")...).b, nil},
		"no service type": {
			newMessage(0x8400).record(wire("x", "local"), dnsTypeSRV, 9, srv(1, "p", "local")...).b, nil},
		"a target that is no host's name": {
			newMessage(0x8400).record(printer, dnsTypeSRV, 9, srv(631, "my host", "local")...).b,
			[]announcement{{"tcp", "_ipp._tcp", "", sender, 631}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := readAll(c.b)
			if !ok {
				t.Fatal("refused")
			}
			if d := cmp.Diff(c.want, got, cmp.AllowUnexported(announcement{}), cmp.Comparer(sameAddr)); d != "" {
				t.Errorf("announced (-want +got):\n%s", d)
			}
		})
	}
}

func TestMDNSRefuses(t *testing.T) {
	loop := newMessage(0x8400)
	loop.record([]byte{0xc0, dnsHeader}, dnsTypeA, 9, 198, 18, 0, 1) // a name that points at itself
	forward := newMessage(0x8400).record([]byte{0xc0, 40}, dnsTypeA, 9, 198, 18, 0, 1)
	long := newMessage(0x8400).record(wire(strings.Split(strings.Repeat("x.", 127)+"x", ".")...), dnsTypeA, 9, 1, 2, 3, 4)
	longest := newMessage(0x8400).record(wire(strings.Split(strings.Repeat("x.", 126)+"x", ".")...), dnsTypeA, 9, 1, 2, 3, 4)
	if _, ok := readAll(longest.b); !ok {
		t.Error("refused a name of 255 bytes")
	}
	whole := newMessage(0x8400).record(wire("a"), dnsTypeA, 9, 198, 18, 0, 1).b
	for name, b := range map[string][]byte{
		"a pointer at itself":    loop.b,
		"a pointer ahead":        forward.b,
		"a name of 256 bytes":    long.b,
		"a query":                newMessage(0).record(wire("a"), dnsTypeA, 9, 1, 2, 3, 4).b,
		"an error":               newMessage(0x8403).record(wire("a"), dnsTypeA, 9, 1, 2, 3, 4).b,
		"a reserved label":       newMessage(0x8400).record([]byte{0x40, 0}, dnsTypeA, 9, 1, 2, 3, 4).b,
		"a record that is short": whole[:len(whole)-1],
		"a head that is short":   whole[:dnsHeader-1],
		"nothing behind a head":  whole[:dnsHeader],
	} {
		if got, ok := readAll(b); ok || got != nil {
			t.Errorf("%s: took %v", name, got)
		}
	}
}

// What one message may claim is bounded, however it is packed.
func TestMDNSClaimsAreBounded(t *testing.T) {
	m := newMessage(0x8400).record(wire("h"), dnsTypeA, 9, 198, 18, 0, 1)
	for i := range byte(200) {
		m.record([]byte{0xc0, dnsHeader}, dnsTypeA, 9, 198, 18, 1, i)
		m.record(wire("_x", "_tcp"), dnsTypeSRV, 9, srv(uint16(i)+1, "h")...)
	}
	got, ok := readAll(m.b)
	if most := hostsMost + servicesMost*addrsMost; !ok || len(got) != most {
		t.Errorf("%d announcements, ok %t; want %d", len(got), ok, most)
	}
}

func FuzzReadMDNS(f *testing.F) {
	f.Add(newMessage(0x8400).record(wire("i", "_ipp", "_tcp", "local"), dnsTypeSRV, 120, srv(631, "p", "local")...).
		record(wire("p", "local"), dnsTypeA, 120, 198, 18, 0, 21).b)
	f.Add(newMessage(0x8400).record(wire("p"), dnsTypeA, 9, 198, 18, 0, 1).
		record([]byte{0xc0, dnsHeader}, dnsTypeAAAA, 9, make([]byte, 16)...).b)
	f.Fuzz(func(t *testing.T, b []byte) {
		got, _ := readAll(b)
		if len(got) > hostsMost+servicesMost*addrsMost {
			t.Errorf("%d announcements", len(got))
		}
		for _, a := range got {
			isClean(t, a.name, a.service)
			if (a.network == "") != (a.port == 0) || !a.addr.IsValid() {
				t.Errorf("announced %+v", a)
			}
		}
		// Another parser takes pointers ahead, which we do not; so it writes
		// anew what it has read.
		var p dnsmessage.Message
		if p.Unpack(b) != nil || !p.Response || p.OpCode != 0 || p.RCode != 0 ||
			len(p.Questions) > recordsMost {
			return
		}
		if anew, err := p.Pack(); err == nil {
			if _, ok := readAll(anew); !ok {
				t.Errorf("refused a message that another parser takes: %x", anew)
			}
		}
	})
}
