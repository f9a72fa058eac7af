//go:build linux && integration

package route

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var addr = netip.MustParseAddr

// twoLinks has two interfaces, routers on both and every kind of route.
func twoLinks(t testing.TB) *world {
	w := newWorld(t)
	for _, c := range []string{
		"link add e1 type veth peer name p1",
		"link add e2 type veth peer name p2",
		"link set e1 address 02:00:00:00:00:01 up", "link set p1 up",
		"link set e2 address 02:00:00:00:00:02 mtu 1400 up", "link set p2 up",
		"addr add 198.18.1.1/24 dev e1", "addr add 198.18.1.9/24 dev e1",
		"addr add 198.18.2.1/24 dev e2",
		"addr add 2001:db8:1::1/64 dev e1 nodad", "addr add 2001:db8:2::1/64 dev e2 nodad",
		"route add 198.18.64.0/20 via 198.18.1.254",
		"route add 198.18.65.0/24 via 198.18.2.254",
		"route add 198.18.66.7/32 via 198.18.1.253 src 198.18.1.9",
		"route add unreachable 198.18.80.0/24",
		"route add blackhole 198.18.81.0/24",
		"route add prohibit 198.18.82.0/24",
		"route add 198.19.0.0/16 dev e2",
		"-6 route add 2001:db8:64::/48 via 2001:db8:1::fe",
		"-6 route add unreachable 2001:db8:80::/48",
		"-6 route add blackhole 2001:db8:81::/48",
		"-6 route add prohibit 2001:db8:82::/48",
		"route add 198.18.0.0/22 via 198.18.2.253 table 100",
		"rule add to 198.18.3.0/24 table 100",
		"rule add from 198.18.2.1 to 198.18.90.0/24 table 101",
		"route add 198.18.90.0/24 via 198.18.2.252 table 101",
		"route add 198.18.90.0/24 via 198.18.2.254",
	} {
		w.ip(c)
	}
	return w
}

func TestHop(t *testing.T) {
	table := twoLinks(t).open()
	for _, c := range []struct{ dst, via, link, src, next string }{
		{"198.18.1.77", "", "e1", "198.18.1.1", "on-link"},
		{"::ffff:198.18.1.77", "", "e1", "198.18.1.1", "on-link"},
		{"198.18.2.77", "", "e2", "198.18.2.1", "on-link"},
		{"198.18.64.1", "", "e1", "198.18.1.1", "198.18.1.254"},
		{"198.18.65.1", "", "e2", "198.18.2.1", "198.18.2.254"},
		{"198.18.66.6", "", "e1", "198.18.1.1", "198.18.1.254"},
		{"198.18.66.7", "", "e1", "198.18.1.9", "198.18.1.253"},
		{"198.18.66.8", "", "e1", "198.18.1.1", "198.18.1.254"},
		{"198.19.200.1", "", "e2", "198.18.2.1", "on-link"},
		{"198.18.3.3", "", "e2", "198.18.2.1", "198.18.2.253"},  // rule by destination
		{"198.18.90.3", "", "e2", "198.18.2.1", "198.18.2.252"}, // rule by source
		{"198.18.64.1", "e1", "e1", "198.18.1.1", "198.18.1.254"},
		{"2001:db8:1::77", "", "e1", "2001:db8:1::1", "on-link"},
		{"2001:db8:2::77", "", "e2", "2001:db8:2::1", "on-link"},
		{"2001:db8:64::77", "", "e1", "2001:db8:1::1", "2001:db8:1::fe"},
		{"198.18.1.1", "", "lo", "198.18.1.1", "local"},
		{"127.0.0.1", "", "lo", "127.0.0.1", "local"},
		{"127.9.9.9", "", "lo", "127.0.0.1", "local"},
		{"::1", "", "lo", "::1", "local"},
		{"2001:db8:1::1", "", "lo", "2001:db8:1::1", "local"},
	} {
		for range 2 { // asked, and known
			h, err := table.Hop(addr(c.dst), c.via)
			if err != nil {
				t.Errorf("Hop(%s, %q): %v", c.dst, c.via, err)
				continue
			}
			next := h.Next.String()
			switch {
			case h.Local:
				next = "local"
			case h.OnLink && h.Next == addr(c.dst).Unmap():
				next = "on-link"
			}
			if h.Link.Name != c.link || h.Src.String() != c.src || next != c.next {
				t.Errorf("Hop(%s, %q): %s from %s by %s, want %s from %s by %s",
					c.dst, c.via, next, h.Src, h.Link.Name, c.next, c.src, c.link)
			}
		}
	}
}

func TestHopFails(t *testing.T) {
	w := twoLinks(t)
	w.ip("link add e3 type veth peer name p3")
	table := w.open()
	for _, c := range []struct {
		dst, via string
		want     error
	}{
		{"198.18.200.1", "", ErrNoRoute},
		{"2001:db8:dead::1", "", ErrNoRoute},
		{"198.18.80.1", "", ErrUnreachable},
		{"198.18.81.1", "", ErrBlackhole},
		{"198.18.82.1", "", ErrProhibited},
		{"2001:db8:80::1", "", ErrUnreachable},
		{"2001:db8:81::1", "", ErrBlackhole},
		{"2001:db8:82::1", "", ErrProhibited},
		{"198.18.64.1", "e2", ErrNoRoute}, // the kernel alone would take it for on-link
		{"198.18.1.7", "e2", ErrNoRoute},
		{"2001:db8:1::7", "e2", ErrNoRoute},
		{"198.18.1.7", "nosuch", ErrNoInterface},
		{"198.18.1.7", "e3", ErrDown},
		{"198.18.1.255", "", ErrNotUnicast},
		{"255.255.255.255", "", ErrNotUnicast},
		{"fe80::1", "", ErrNoZone},
		{"fe80::1%nosuch", "", ErrNoInterface},
	} {
		for range 2 {
			if h, err := table.Hop(addr(c.dst), c.via); !errors.Is(err, c.want) {
				t.Errorf("Hop(%s, %q): %+v, %v, want %v", c.dst, c.via, h, err, c.want)
			}
		}
	}
	if _, err := table.Hop(netip.Addr{}, ""); !errors.Is(err, ErrNotUnicast) {
		t.Errorf("Hop of no address: %v", err)
	}
}

// The truth beside the table is the kernel's own: `ip route get` for random
// addresses of all stretches.
func TestHopAgreesWithTheKernel(t *testing.T) {
	w := twoLinks(t)
	w.ip("addr add 2001:db8:64:5::9/128 dev e2 nodad") // nearer to some destinations
	table := w.open()
	n := 0
	for _, p := range []string{"198.18.0.0/15", "2001:db8::/32"} {
		for sp, err := range table.Reach(netip.MustParsePrefix(p), "") {
			for _, a := range []netip.Addr{sp.First, sp.Last} {
				n++
				h, herr := table.Hop(a, "")
				if (err == nil) != (herr == nil) {
					t.Errorf("%s: Reach says %v, Hop says %v", a, err, herr)
				}
				text, _ := exec.Command("ip", "-n", w.name, "route", "get", a.String()).CombinedOutput()
				fields := strings.Fields(string(text))
				if herr != nil {
					continue
				}
				if after(fields, "src") != h.Src.String() {
					t.Errorf("%s: from %s, the kernel says %s", a, h.Src, text)
				}
				if a.Is4() && !h.Local { // as connect does once it has a source
					text, _ = exec.Command("ip", "-n", w.name, "route", "get", a.String(),
						"from", h.Src.String()).CombinedOutput()
					fields = strings.Fields(string(text))
				}
				if dev := after(fields, "dev"); dev != h.Link.Name {
					t.Errorf("%s: by %s, the kernel says %s", a, h.Link.Name, text)
				}
				if via := after(fields, "via"); via != "" && via != h.Next.String() || via == "" && !h.OnLink {
					t.Errorf("%s: to %s, the kernel says %s", a, h.Next, text)
				}
			}
		}
	}
	if n < 50 {
		t.Errorf("looked at %d addresses only", n)
	}
}

func after(fields []string, word string) string {
	for i, f := range fields[:max(len(fields)-1, 0)] {
		if f == word {
			return fields[i+1]
		}
	}
	return ""
}

// Each change of the box is seen without a new Open.
func TestChangesAreFollowed(t *testing.T) {
	w := twoLinks(t)
	table := w.open()
	is := func(dst, want string) func() bool {
		return func() bool {
			h, err := table.Hop(addr(dst), "")
			got := h.Link.Name + " " + h.Src.String() + " " + h.Next.String()
			if err != nil {
				got = err.Error()
			}
			return got == want
		}
	}
	changes, stop := table.Watch()
	defer stop()
	for _, c := range []struct{ command, dst, want string }{
		{"link set lo up", "198.18.64.1", "e1 198.18.1.1 198.18.1.254"},
		{"route change 198.18.64.0/20 via 198.18.2.99", "198.18.64.1", "e2 198.18.2.1 198.18.2.99"},
		{"route add 198.18.64.0/30 via 198.18.1.98", "198.18.64.1", "e1 198.18.1.1 198.18.1.98"},
		{"route del 198.18.64.0/30", "198.18.64.1", "e2 198.18.2.1 198.18.2.99"},
		{"addr del 198.18.2.1/24 dev e2", "198.18.2.5", "no route"},
		{"addr add 198.18.2.3/24 dev e2", "198.18.2.5", "e2 198.18.2.3 198.18.2.5"},
		{"rule add to 198.18.1.128/25 table 100", "198.18.1.129", "e1 198.18.1.1 198.18.1.129"},
		{"route add default via 198.18.2.97 table 100", "198.18.1.129", "e2 198.18.2.3 198.18.2.97"},
		{"link set e1 down", "198.18.1.5", "no route"},
		{"link set e1 up", "198.18.1.5", "e1 198.18.1.1 198.18.1.5"},
		{"link del e2", "198.18.2.5", "no route"},
		{"-6 route add 2001:db8:2::/64 via 2001:db8:1::5", "2001:db8:2::8", "no route"},
	} {
		gen := table.Generation()
		if strings.HasPrefix(c.command, "-6") { // its address went with the link
			w.ip("addr add 2001:db8:1::1/64 dev e1 nodad")
			c.want = "e1 2001:db8:1::1 2001:db8:1::5"
		}
		w.ip(c.command)
		eventually(t, c.command+": "+c.want, is(c.dst, c.want))
		if c.command != "link set lo up" && table.Generation() == gen {
			t.Errorf("%s: no new generation", c.command)
		}
		select {
		case <-changes:
		default:
			if c.command != "link set lo up" {
				t.Errorf("%s: the watcher was not told", c.command)
			}
		}
	}
}

// The flag of an interface without a carrier is there though its routes are.
func TestCarrierIsSeen(t *testing.T) {
	w := twoLinks(t)
	table := w.open()
	up := func() bool {
		h, err := table.Hop(addr("198.18.1.5"), "")
		return err == nil && h.Link.Up
	}
	if !up() {
		t.Fatal("e1 is not up at first")
	}
	w.ip("link set p1 down")
	eventually(t, "carrier lost", func() bool { return !up() })
	w.ip("link set p1 up")
	eventually(t, "carrier back", up)
}

func TestMultipathIsAskedOneByOne(t *testing.T) {
	w := twoLinks(t)
	w.ip("route add 198.18.128.0/17 nexthop via 198.18.1.254 nexthop via 198.18.2.254")
	table := w.open()
	links := map[string]int{}
	for i := range 256 {
		h, err := table.Hop(netip.AddrFrom4([4]byte{198, 18, 200, byte(i)}), "")
		if err != nil {
			t.Fatal(err)
		}
		links[h.Link.Name]++
	}
	if links["e1"] < 32 || links["e2"] < 32 {
		t.Errorf("256 destinations over two routers: %v", links)
	}
}

func TestVLANAndTunAndLinkLocal(t *testing.T) {
	w := twoLinks(t)
	if exec.Command("ip", "-n", w.name, "link", "add", "link", "e1", "name", "e1.7", "type", "vlan", "id", "7").Run() != nil {
		t.Log("VLAN is left out: this kernel has no such interfaces")
		w.ip("link add e1.7 type bridge")
	}
	for _, c := range []string{
		"link set e1.7 up", "addr add 198.18.7.1/24 dev e1.7",
		"tuntap add mode tun name tun0", "link set tun0 up",
		"addr add 198.18.8.1 peer 198.18.8.2 dev tun0",
		"link add br0 type bridge", "link set br0 up", "addr add 198.18.9.1/24 dev br0",
	} {
		w.ip(c)
	}
	table := w.open()
	for _, c := range []struct {
		dst, link string
		medium    Medium
	}{
		{"198.18.7.5", "e1.7", Ethernet}, {"198.18.8.2", "tun0", None}, {"198.18.9.5", "br0", Ethernet},
	} {
		h, err := table.Hop(addr(c.dst), "")
		if err != nil || h.Link.Name != c.link || h.Link.Medium != c.medium || !h.OnLink {
			t.Errorf("Hop(%s): %+v, %v", c.dst, h, err)
		}
	}
	eventually(t, "link-local by zone", func() bool { // its address may be tentative yet
		h, err := table.Hop(addr("fe80::1%e1"), "")
		return err == nil && h.Link.Name == "e1" && h.Src.IsLinkLocalUnicast() && h.Next == addr("fe80::1")
	})
	if h, err := table.Hop(addr("fe80::1"), "e2"); err != nil || h.Link.Name != "e2" {
		t.Errorf("Hop(fe80::1, e2): %+v, %v", h, err)
	}
}

func TestNeighbors(t *testing.T) {
	w := twoLinks(t)
	w.ip("neigh add 198.18.1.5 lladdr 02:00:00:00:00:55 dev e1 nud permanent")
	w.ip("neigh add 2001:db8:1::5 lladdr 02:00:00:00:00:66 dev e1 nud stale")
	table := w.open()
	h, err := table.Hop(addr("198.18.1.5"), "")
	if err != nil {
		t.Fatal(err)
	}
	list, err := table.Neighbors(h.Link.Index)
	if err != nil || len(list) != 2 {
		t.Errorf("Neighbors: %+v, %v", list, err)
	}
	n, err := table.Neighbor(h.Link.Index, addr("198.18.1.5"))
	if err != nil || n.State != Permanent || n.MAC != [6]byte{2, 0, 0, 0, 0, 0x55} {
		t.Errorf("Neighbor: %+v, %v", n, err)
	}
	if n, err = table.Neighbor(h.Link.Index, addr("198.18.1.6")); err != nil || n.State != Gone {
		t.Errorf("Neighbor that is not there: %+v, %v", n, err)
	}
	hood, err := table.Neighborhood(false)
	if err != nil || hood.Thresh1 <= 0 || hood.Thresh2 < hood.Thresh1 || hood.Thresh3 < hood.Thresh2 || hood.Entries < 1 {
		t.Errorf("Neighborhood: %+v, %v", hood, err)
	}
	if hood, err = table.Neighborhood(true); err != nil || hood.Thresh3 <= 0 {
		t.Errorf("Neighborhood of IPv6: %+v, %v", hood, err)
	}
}

func TestAwait(t *testing.T) {
	w := twoLinks(t)
	table := w.open()
	h, err := table.Hop(addr("198.18.1.200"), "")
	if err != nil {
		t.Fatal(err)
	}
	// A datagram to nobody makes the kernel ask for its neighbour.
	err = w.inside(func() error {
		c, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(198, 18, 1, 200), Port: 9})
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("x"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	n, err := table.Await(ctx, h.Link.Index, addr("198.18.1.200"))
	if err != nil || n.State != Failed {
		t.Errorf("Await: %+v, %v, want failed", n, err)
	}
}

// More notifications than the socket holds are lost; the table reads again.
func TestOverrunIsRecovered(t *testing.T) {
	w := twoLinks(t)
	var said bytes.Buffer // written by one goroutine, and read after it has ended
	var table *Table
	err := w.inside(func() (err error) {
		table, err = Open(slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug})))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	is := func(want string) bool {
		h, err := table.Hop(addr("198.19.255.1"), "")
		return err == nil && h.Next.String() == want
	}
	if !is("198.19.255.1") {
		t.Fatal("198.19.255.1 is not on its link at first")
	}
	var batch strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&batch, "route add %s/32 via 198.18.1.254\n", addr4(198<<24|19<<16|uint32(i)))
	}
	batch.WriteString("route add 198.19.255.1/32 via 198.18.1.253\n")
	table.mu.Lock() // holds up who reads the notifications
	cmd := exec.Command("ip", "-n", w.name, "-batch", "-")
	cmd.Stdin = strings.NewReader(batch.String())
	out, err := cmd.CombinedOutput()
	table.mu.Unlock()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, "the last change", func() bool { return is("198.18.1.253") })
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "overrun") {
		t.Error("20,001 notifications did not overrun the socket: nothing was tested")
	}
}

func TestClose(t *testing.T) {
	w := twoLinks(t)
	table := w.open()
	for range 2 {
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := table.Hop(addr("198.18.1.5"), ""); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Hop after Close: %v", err)
	}
	if _, err := table.Neighbors(0); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Neighbors after Close: %v", err)
	}
}

func BenchmarkHop(b *testing.B) {
	w := twoLinks(b)
	for i := range 1000 { // as a box with many routes has
		var p [4]byte
		binary.BigEndian.PutUint32(p[:], 198<<24|19<<16|uint32(i)<<4)
		w.ip("route add " + netip.AddrFrom4(p).String() + "/29 via 198.18.1.254")
	}
	table := w.open()
	for _, c := range []struct{ name, dst, via string }{
		{"v4", "198.18.64.1", ""}, {"v4-via", "198.18.64.1", "e1"},
		{"v6", "2001:db8:64::1", ""}, {"error", "198.18.80.1", ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			dst := addr(c.dst)
			for b.Loop() {
				_, _ = table.Hop(dst, c.via)
			}
		})
	}
}
