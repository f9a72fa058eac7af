package passive

import (
	"math"
	"testing"

	"golang.org/x/net/bpf"
)

// filterCases are packets without their Ethernet header, with how much of them
// each filter keeps: 0 drops.
var filterCases = []struct {
	name      string
	kind      uint16
	packet    []byte
	handshake int
	datagram  int
}{
	{"SYN", etherIPv4, ip4(6, host1, host2, tcp(40000, 80, 1, 0, flagSYN)), snapHeaders, 0},
	{"SYN with ECN", etherIPv4, ip4(6, host1, host2, tcp(40000, 80, 1, 0, flagSYN|0xc0)), snapHeaders, 0},
	{"SYN-ACK", etherIPv4, ip4(6, host1, host2, tcp(80, 40000, 1, 2, flagSYN|flagACK)), snapHeaders, 0},
	{"SYN-ACK behind options", etherIPv4,
		ip4(6, host1, host2, tcp(80, 40000, 1, 2, flagSYN|flagACK), 1, 1, 1, 0), snapHeaders, 0},
	{"ACK", etherIPv4, ip4(6, host1, host2, tcp(80, 40000, 1, 2, flagACK)), 0, 0},
	{"RST", etherIPv4, ip4(6, host1, host2, tcp(80, 40000, 1, 2, flagRST|flagACK)), 0, 0},
	{"all flags", etherIPv4, ip4(6, host1, host2, tcp(80, 40000, 1, 2, 0xff)), 0, 0},
	{"later fragment", etherIPv4, fragment(ip4(6, host1, host2, tcp(80, 40000, 1, 2, flagSYN))), 0, 0},
	{"from a port of services", etherIPv4, ip4(17, host1, host2, udp(161, 50000, 1)), 0, snapHeaders},
	{"to a port of services", etherIPv4, ip4(17, host1, host2, udp(50000, 161, 1)), 0, snapHeaders},
	{"last of the ports", etherIPv4, ip4(17, host1, host2, udp(5000, 50000, 1)), 0, snapHeaders},
	{"other ports", etherIPv4, ip4(17, host1, host2, udp(50000, 5001, 1)), 0, 0},
	{"DHCP", etherIPv4, ip4(17, host1, host2, udp(68, 67, 1)), snapWhole, 0},
	{"DHCP to a client", etherIPv4, ip4(17, host1, host2, udp(67, 68, 1)), snapWhole, 0},
	{"mDNS", etherIPv4, ip4(17, host1, "224.0.0.251", udp(5353, 5353, 1)), snapWhole, 0},
	{"ping", etherIPv4, ip4(1, host1, host2, make([]byte, 8)), 0, 0},
	{"SYN over IPv6", etherIPv6, ip6(6, 64, host1s, host2s, tcp(40000, 80, 1, 0, flagSYN)), snapHeaders, 0},
	{"SYN-ACK over IPv6", etherIPv6, ip6(6, 64, host1s, host2s, tcp(80, 40000, 1, 2, 0x12)), snapHeaders, 0},
	{"ACK over IPv6", etherIPv6, ip6(6, 64, host1s, host2s, tcp(80, 40000, 1, 2, flagACK)), 0, 0},
	{"UDP over IPv6", etherIPv6, ip6(17, 64, host1s, host2s, udp(161, 50000, 1)), 0, snapHeaders},
	{"mDNS over IPv6", etherIPv6, ip6(17, 64, host1s, "ff02::fb", udp(5353, 5353, 1)), snapWhole, 0},
	{"neighbour solicitation", etherIPv6, ip6(58, 255, host1s, host2s, nd(135, host2s, 1)), snapHeaders, 0},
	{"neighbour advertisement", etherIPv6, ip6(58, 255, host1s, host2s, nd(136, host1s, 2)), snapHeaders, 0},
	{"router solicitation", etherIPv6, ip6(58, 255, host1s, host2s, nd(133, host1s, 1)), snapHeaders, 0},
	{"ping over IPv6", etherIPv6, ip6(58, 64, host1s, host2s, nd(128, host1s, 0)), 0, 0},
	{"MLD report", etherIPv6, ip6(0, 1, "fe80::1", "ff02::16", mld()), snapHeaders, 0},
	{"other hop-by-hop", etherIPv6, ip6(0, 1, "fe80::1", "ff02::16", append([]byte{6}, mld()[1:]...)), 0, 0},
	{"other ether type", 0x88cc, make([]byte, 60), 0, 0},
}

// fragment makes a packet the second fragment of its own.
func fragment(b []byte) []byte {
	b[7] = 1
	return b
}

var testPorts = []Range{{53, 53}, {161, 162}, {4000, 5000}}

func TestFilters(t *testing.T) {
	for _, header := range []bool{true, false} {
		first, second := vm(t, handshakes(header, Range{})), vm(t, datagrams(header, testPorts, Range{}))
		for _, c := range filterCases {
			b := c.packet
			if header {
				b = ether(c.kind, b)
			} else if c.kind == 0x88cc {
				continue
			}
			if header && c.kind != 0x88cc { // behind a tag that nobody took off
				in := ether(etherVLAN, append([]byte{0, 7, byte(c.kind >> 8), byte(c.kind)}, c.packet...))
				runs(t, c.name+", tagged", first, in, c.handshake)
				runs(t, c.name+", tagged, datagrams", second, in, c.datagram)
			}
			runs(t, c.name, first, b, c.handshake)
			runs(t, c.name+", datagrams", second, b, c.datagram)
			for i := range b { // cut off anywhere: dropped or taken, no fault
				_, _ = first.Run(b[:i])
				_, _ = second.Run(b[:i])
			}
		}
		if header {
			runs(t, "ARP", first, ether(etherARP, arp(1, host1, host2)), snapHeaders)
			runs(t, "ARP, datagrams", second, ether(etherARP, arp(1, host1, host2)), 0)
		}
	}
}

func vm(t *testing.T, ins []bpf.Instruction) *bpf.VM {
	t.Helper()
	v, err := bpf.NewVM(ins)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func runs(t *testing.T, name string, v *bpf.VM, b []byte, want int) {
	t.Helper()
	got, err := v.Run(b)
	if want > 0 {
		want = min(want, len(b)) // the VM cuts to what there is
	}
	if err != nil || min(got, len(b)) != want {
		t.Errorf("%s: keeps %d (%v), want %d", name, got, err, want)
	}
}

// The most ports that a configuration can have must give a filter that the
// kernel takes, with our own ports in it, which the VM cannot run.
func TestLargestFilterIsOneTheKernelTakes(t *testing.T) {
	const kernelMost = 4096 // BPF_MAXINSNS
	ports := make([]Range, rangesMost)
	for i := range ports {
		ports[i] = Range{uint16(i * 1000), uint16(i*1000 + 1)}
	}
	own := Range{61000, 61999}
	for name, ins := range map[string][]bpf.Instruction{
		"handshakes": handshakes(true, own), "datagrams": datagrams(true, ports, own),
	} {
		raw, err := bpf.Assemble(ins)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(raw) > kernelMost {
			t.Errorf("%s: %d instructions", name, len(raw))
		}
		for i, r := range raw { // every jump stays inside
			if to := i + 1 + int(max(r.Jt, r.Jf)); to > len(raw) {
				t.Errorf("%s: instruction %d jumps to %d", name, i, to)
			}
			if r.Op == 0x05 && (r.K > math.MaxInt16 || i+1+int(r.K) >= len(raw)) {
				t.Errorf("%s: instruction %d jumps by %d", name, i, r.K)
			}
		}
	}
	v := vm(t, datagrams(true, ports, Range{}))
	runs(t, "last of many", v, ether(etherIPv6, ip6(17, 64, host1s, host2s, udp(50500, 63001, 1))), snapHeaders)
	runs(t, "behind the last", v, ether(etherIPv6, ip6(17, 64, host1s, host2s, udp(50500, 63002, 1))), 0)
}
