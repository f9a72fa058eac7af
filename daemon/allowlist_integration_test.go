//go:build integration

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A seen is one packet on a wire that Suricata watches.
type seen struct {
	proto    string
	src, dst netip.AddrPort
	flags    byte // of TCP
}

func (p seen) String() string { return fmt.Sprintf("%s %s -> %s", p.proto, p.src, p.dst) }

// frame builds the packet, with sums of zero.
func (p seen) frame() []byte {
	b := make([]byte, 12, 100)
	body := make([]byte, 20)
	var proto byte
	switch {
	case p.proto == "udp":
		proto, body = 17, append(make([]byte, 8), "hello"...)
		binary.BigEndian.PutUint16(body[4:], uint16(len(body)))
	case p.proto == "tcp":
		proto = 6
		body[12], body[13], body[14] = 5<<4, p.flags, 4 // header of 20 bytes, window 1,024
	case p.src.Addr().Is4():
		proto, body[0] = 1, 8
	default:
		proto, body[0] = 58, 128
	}
	if p.src.Port() > 0 {
		binary.BigEndian.PutUint16(body, p.src.Port())
		binary.BigEndian.PutUint16(body[2:], p.dst.Port())
	}
	if p.src.Addr().Is4() {
		b = append(b, 8, 0, 0x45, 0, 0, byte(20+len(body)), 0, 0, 0, 0, 64, proto, 0, 0)
	} else {
		b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0, 0, byte(len(body)), proto, 64)
	}
	b = append(append(b, p.src.Addr().AsSlice()...), p.dst.Addr().AsSlice()...)
	return append(b, body...)
}

// writePcap writes a capture in the format of tcpdump(8).
func writePcap(t *testing.T, name string, packets []seen) {
	t.Helper()
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0xa1b2c3d4)
	b = le.AppendUint16(le.AppendUint16(b, 2), 4)
	b = append(b, make([]byte, 8)...)
	b = le.AppendUint32(le.AppendUint32(b, 65535), 1)
	for i, p := range packets {
		f := p.frame()
		b = le.AppendUint32(le.AppendUint32(b, uint32(1_700_000_000+i)), 0)
		b = le.AppendUint32(le.AppendUint32(b, uint32(len(f))), uint32(len(f)))
		b = append(b, f...)
	}
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// suricata runs it and gives the packets that it raised an alarm for.
func suricata(t *testing.T, dir string, args ...string) (alarms []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	args = append([]string{"-c", "/etc/suricata/suricata.yaml", "-l", dir, "-k", "none", "-S", filepath.Join(dir, "sonde.rules")}, args...)
	out, err := exec.CommandContext(ctx, "suricata", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("suricata %q: %v\n%s", args, err, out)
	}
	if bytes.Contains(out, []byte("Error")) || bytes.Contains(out, []byte("Warning")) {
		t.Errorf("suricata %q says\n%s", args, out)
	}
	eve, err := os.ReadFile(filepath.Join(dir, "eve.json"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range bytes.Lines(eve) {
		var e struct {
			EventType string `json:"event_type"`
			SrcIP     string `json:"src_ip"`
			DestIP    string `json:"dest_ip"`
			SrcPort   uint16 `json:"src_port"`
			DestPort  uint16 `json:"dest_port"`
			Proto     string `json:"proto"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if e.EventType == "alert" {
			src, dst := netip.MustParseAddr(e.SrcIP), netip.MustParseAddr(e.DestIP)
			alarms = append(alarms, seen{strings.ToLower(e.Proto), netip.AddrPortFrom(src, e.SrcPort), netip.AddrPortFrom(dst, e.DestPort), 0}.String())
		}
	}
	slices.Sort(alarms)
	return alarms
}

// TestSuricataTakesTheAllowlist: a real Suricata loads the rules without a word,
// and with them raises no alarm for discovery and its answers, and still does for
// everything else that the sensor, or somebody in its place, sends.
func TestSuricataTakesTheAllowlist(t *testing.T) {
	if _, err := exec.LookPath("suricata"); err != nil {
		t.Skip("skipped: no suricata (it is in Debian's backports)")
	}
	cfg := parseConfig(t, `
[[watch]]
name = "lan"
targets = ["10.0.0.0/24", "10.7.0.1-10.7.0.77", "fd00::/64"]
echo = true
all_nodes = 'always'
exclude = ["10.0.0.9", "fd00::9"]
tcp_ports = "1-1024,top:200"
udp_ports = "53,161"
best_effort = true
[[watch]]
name = "one"
targets = ["10.1.0.5"]
tcp_ports = "443"
best_effort = true
udp_ports = ""
`)
	from4, from6 := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")
	rows, err := allowRows(cfg, []netip.Addr{from4, from6}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := writeSuricata(&b, rows); err != nil {
		t.Fatal(err)
	}
	b.WriteString("alert tcp any any -> any any (msg:\"a scan\"; flow:stateless; flags:S+; sid:1;)\n" +
		"alert udp any any -> any any (msg:\"a datagram\"; sid:2;)\n" +
		"alert icmp any any -> any any (msg:\"a ping\"; sid:3;)\n")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sonde.rules"), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	suricata(t, dir, "-T")

	at := netip.MustParseAddrPort
	const syn, synAck = 2, 18
	quiet := []seen{
		{"tcp", at("192.0.2.10:61000"), at("10.0.0.5:22"), syn},
		{"tcp", at("10.0.0.6:22"), at("192.0.2.10:61255"), synAck},
		{"tcp", at("192.0.2.10:61003"), at("10.7.0.77:1024"), syn},
		{"udp", at("192.0.2.10:61001"), at("10.0.0.5:53"), 0},
		{"udp", at("10.0.0.7:161"), at("192.0.2.10:61001"), 0},
		{"tcp", at("[2001:db8::10]:61000"), at("[fd00::abcd:1]:22"), syn},
		{"tcp", at("192.0.2.10:61000"), at("10.1.0.5:443"), syn},
		{"icmp", at("192.0.2.10:0"), at("10.0.0.5:0"), 0},
		{"ipv6-icmp", at("[2001:db8::10]:0"), at("[ff02::1]:0"), 0},
		{"ipv6-icmp", at("[2001:db8::10]:0"), at("[fd00::abcd:2]:0"), 0},
	}
	loud := []seen{
		{"tcp", at("192.0.2.10:40000"), at("10.0.0.15:22"), syn},           // no source port of discovery
		{"tcp", at("192.0.2.11:61000"), at("10.0.0.15:22"), syn},           // somebody else
		{"tcp", at("192.0.2.10:61000"), at("10.0.0.9:22"), syn},            // excluded
		{"tcp", at("192.0.2.10:61000"), at("10.7.0.78:22"), syn},           // no target
		{"tcp", at("192.0.2.10:61000"), at("10.1.0.5:22"), syn},            // no port of the watch
		{"udp", at("192.0.2.10:61001"), at("10.0.0.15:69"), 0},             // likewise
		{"icmp", at("192.0.2.10:0"), at("10.1.0.5:0"), 0},                  // its watch sends no echo
		{"icmp", at("192.0.2.11:0"), at("10.0.0.15:0"), 0},                 // somebody else
		{"ipv6-icmp", at("[2001:db8::10]:0"), at("[fd00::9]:0"), 0},        // excluded
		{"tcp", at("[2001:db8::10]:61000"), at("[fd00::9]:22"), syn},       // excluded
		{"tcp", at("[2001:db8::10]:61000"), at("[fd00:0:0:1::1]:22"), syn}, // no target
	}
	writePcap(t, filepath.Join(dir, "wire.pcap"), append(slices.Clone(quiet), loud...))
	var want []string
	for _, p := range loud {
		want = append(want, p.String())
	}
	slices.Sort(want)
	if got := suricata(t, dir, "-r", filepath.Join(dir, "wire.pcap")); !slices.Equal(got, want) {
		t.Errorf("alarms\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
