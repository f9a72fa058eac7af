//go:build integration && linux

package onwire

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"sonde/capture/capturetest"
	"sonde/daemon/internal/event"
)

// A wish is one watch, or one scan.
type wish struct {
	target   netip.Prefix
	tcp, udp []uint16
}

// A world is a configuration that chance made, and what may be sent by it, in
// the words of this test alone.
type world struct {
	wishes   []wish
	excluded []netip.Prefix // of all watches, and of exclude.d
	files    map[string]string
	watches  string // of the configuration
	onLink   bool
}

// newWorld makes watches within watches, and excludes of one that fall into
// another.
func newWorld(r *rand.Rand, onLink bool) *world {
	w := &world{files: map[string]string{}, onLink: onLink}
	third := byte(r.IntN(250))
	at := func(last int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, third, byte(last)}) }
	some := func(list ...uint16) (out []uint16) {
		for _, p := range list {
			if r.IntN(3) > 0 {
				out = append(out, p)
			}
		}
		return append(out, uint16(3000+r.IntN(1000)))
	}
	outer := netip.PrefixFrom(at(r.IntN(8)*32), 27)
	inner := netip.PrefixFrom(outer.Addr(), 29)
	w.wishes = []wish{
		{target: outer, tcp: some(22, 80, 443), udp: some(53)},
		{target: inner, tcp: some(22, 2222, 8080)},
		{target: netip.PrefixFrom(netip.MustParseAddr("2001:db8:18::40"), 126-r.IntN(3)).Masked(), tcp: some(22, 80), udp: some(123)},
	}
	inOuter := func() netip.Addr { return at(int(outer.Addr().As4()[3]) + r.IntN(32)) }
	excludes := [][]netip.Prefix{
		{netip.PrefixFrom(inOuter(), 30).Masked(), netip.MustParsePrefix("2001:db8:18::41/128")},
		{netip.PrefixFrom(inOuter(), 32), netip.PrefixFrom(inOuter(), 31).Masked()},
		{netip.PrefixFrom(inner.Addr().Next(), 32)},
	}
	for i, wi := range w.wishes {
		w.excluded = append(w.excluded, excludes[i]...)
		w.watches += fmt.Sprintf("[[watch]]\nname = 'w%d'\ntargets = ['%s']\nexclude = [%s]\ntcp_ports = '%s'\nudp_ports = '%s'\n",
			i, wi.target, quoted(excludes[i]), numbers(wi.tcp), numbers(wi.udp))
	}
	filed := netip.PrefixFrom(inOuter(), 31).Masked()
	w.files["exclude.d/ours"] = fmt.Sprintf("# not these\n%s-%s\n", filed.Addr(), filed.Addr().Next())
	w.excluded = append(w.excluded, filed)
	return w
}

func quoted(list []netip.Prefix) string {
	var out []string
	for _, p := range list {
		out = append(out, "'"+p.String()+"'")
	}
	return strings.Join(out, ", ")
}

func numbers(list []uint16) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ","), "[]")
}

// excludes says whether an address must not be touched.
func (w *world) excludes(a netip.Addr) bool {
	for _, p := range w.excluded {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// wishOf gives the wish that an address belongs to: that of the smallest target.
func (w *world) wishOf(a netip.Addr) *wish {
	var best *wish
	for i := range w.wishes {
		if x := &w.wishes[i]; x.target.Contains(a) && (best == nil || x.target.Bits() > best.target.Bits()) {
			best = x
		}
	}
	if best == nil || w.excludes(a) {
		return nil
	}
	return best
}

// permits says whether an endpoint may be sent anything.
func (w *world) permits(network string, a netip.Addr, port uint16) bool {
	x := w.wishOf(a)
	if x == nil {
		return false
	}
	list := x.tcp
	if network == "udp" {
		list = x.udp
	}
	return slices.Contains(list, port)
}

// endpoints are all of TCP that are asked for.
func (w *world) endpoints() map[netip.AddrPort]bool {
	all := map[netip.AddrPort]bool{}
	for i := range w.wishes {
		for a := w.wishes[i].target.Addr(); w.wishes[i].target.Contains(a); a = a.Next() {
			x := w.wishOf(a)
			if x == nil || w.onLink && a.Is6() { // there nobody answers for most of them
				continue
			}
			for _, port := range x.tcp {
				all[netip.AddrPortFrom(a, port)] = true
			}
		}
	}
	return all
}

// What is no discovery and no visit.
const (
	sinkPort     = 5514
	resolverPort = 53
)

// check holds every frame that the sensor has sent against the world, and counts
// what is not the program's probing. It gives the endpoints of TCP that were
// sent a SYN.
func (w *world) check(t *testing.T, frames []capturetest.Frame) (asked map[netip.AddrPort]bool, others map[string]int) {
	t.Helper()
	asked, others = map[netip.AddrPort]bool{}, map[string]int{}
	for i := range frames {
		f := &frames[i]
		ok := true
		switch c := f.Class(); {
		case c == capturetest.ClassSYN || c == capturetest.ClassTCP || c == capturetest.ClassRST:
			ok = w.permits("tcp", f.Dst, f.DstPort)
			asked[netip.AddrPortFrom(f.Dst, f.DstPort)] = true
			if c == capturetest.ClassRST {
				others["resets"]++
			}
		case c == capturetest.ClassUDP && f.Dst == capturetest.Target4 && f.DstPort == sinkPort:
			others["sink"]++
		case c == capturetest.ClassUDP && f.Dst == capturetest.Target4 && f.DstPort == resolverPort:
			others["resolver"]++
		case c == capturetest.ClassUDP:
			ok = w.permits("udp", f.Dst, f.DstPort)
		case c == capturetest.ClassARP:
			others["arp"]++
			ok = f.Dst == capturetest.Target4 || w.onLink && w.wishOf(f.Dst) != nil
		case c == capturetest.ClassND && f.Type == 135:
			others["nd"]++
			ok = f.Asked == capturetest.Target6 || f.Asked.IsLinkLocalUnicast() || w.onLink && w.wishOf(f.Asked) != nil
		case c == capturetest.ClassND || c == capturetest.ClassGroups || c == capturetest.ClassError:
			others["kernel"]++
		default:
			ok = false
		}
		if !ok {
			t.Errorf("out of scope: %s", f)
		}
	}
	return asked, others
}

// complete checks that nothing was left out either.
func (w *world) complete(t *testing.T, asked map[netip.AddrPort]bool) {
	t.Helper()
	for ep := range w.endpoints() {
		if !asked[ep] {
			t.Errorf("%s was not asked", ep)
		}
	}
}

// wide makes a ground on which all targets answer on some ports.
func wide(t *testing.T, onLink bool) *capturetest.Pair {
	t.Helper()
	p := capturetest.NewPair(t)
	if onLink {
		p.OnLink(t)
	} else {
		p.Via(t)
	}
	for _, prefix := range []netip.Prefix{capturetest.Targets4, capturetest.Targets6} {
		family := "-4"
		if prefix.Addr().Is6() {
			family = "-6"
		}
		p.Target.IP(t, family, "route", "add", "local", prefix.String(), "dev", "lo")
	}
	for _, port := range []string{"22", "2222", "443"} {
		serve(t, p.Target, ":"+port, ssh)
	}
	p.Target.Sysctl(t, "net/ipv4/icmp_ratelimit", "0")
	p.Target.Sysctl(t, "net/ipv6/icmp/ratelimit", "0")
	return p
}

// quick lets all of a world be asked within seconds.
const quick = `
[limits]
host_packets_per_second = 1000
host_new_connections_per_second = 1000
connect_timeout = "300ms"
`

// TestScopeOfRun holds all that `run` sends, visits included, against what
// random configurations permit.
func TestScopeOfRun(t *testing.T) {
	for seed := range uint64(2) {
		for _, method := range []string{"syn", "connect"} {
			for _, onLink := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s,%d,onlink=%t", method, seed, onLink), func(t *testing.T) {
					w := newWorld(rand.New(rand.NewPCG(seed, 5)), onLink)
					p := wide(t, onLink)
					wire := capturetest.RecordReceived(t, p.Far)
					dir := t.TempDir()
					d := prepare(t, dir, w.watches+quick+"[discovery]\nmethod = '"+method+"'\n"+
						fmt.Sprintf("[output.syslog]\nenabled = true\ntarget = 'udp://%s:%d'\n", capturetest.Target4, sinkPort))
					w.write(t, dir)
					d.begin(t, p.Sensor)
					sweeps := 0
					for _, x := range w.wishes {
						sweeps += min(1, len(x.tcp)) + min(1, len(x.udp))
					}
					d.until(t, "sweeps", func() bool { return strings.Count(d.log.String(), "sweep complete") >= sweeps })
					w.verify(t, p, d)
					asked, others := w.check(t, wire.Frames())
					w.complete(t, asked)
					t.Logf("%d endpoints of TCP; beside them %v", len(asked), others)
					if others["sink"] == 0 || others["arp"]+others["nd"] == 0 {
						t.Errorf("not everything was seen: %v", others)
					}
					if len(d.only(t, event.ServiceBaseline)) == 0 {
						t.Error("nothing was visited")
					}
				})
			}
		}
	}
}

// verify has the daemon told to ask what it may, and what it may not.
func (w *world) verify(t *testing.T, p *capturetest.Pair, d *daemon) {
	t.Helper()
	ask := func(a netip.Addr, port uint16) (string, error) {
		out, err := p.Sensor.Command(t.Context(), program(t), "verify", netip.AddrPortFrom(a, port).String(), "-c", d.file()).CombinedOutput()
		return string(out), err
	}
	outer := w.wishes[0]
	inside := outer.target.Addr() // and in no other watch
	for slices.ContainsFunc(w.excluded, func(p netip.Prefix) bool { return p.Contains(inside) }) ||
		slices.ContainsFunc(w.wishes[1:], func(x wish) bool { return x.target.Contains(inside) }) {
		inside = inside.Next()
	}
	if !outer.target.Contains(inside) {
		t.Fatalf("%v holds nothing for itself", outer.target)
	}
	if out, err := ask(inside, outer.tcp[0]); err != nil {
		t.Errorf("verify of %v port %d: %v\n%s", inside, outer.tcp[0], err, out)
	}
	for a, why := range map[netip.Addr]string{w.excluded[0].Addr(): "is not asked", netip.MustParseAddr("198.19.255.1"): "no watch has this address"} {
		if out, err := ask(a, outer.tcp[0]); err == nil || !strings.Contains(out, why) {
			t.Errorf("verify of %v: %v\n%s", a, err, out)
		}
	}
	if out, err := ask(inside, 9); err == nil || !strings.Contains(out, "and not this port") {
		t.Errorf("verify of %v port 9: %v\n%s", inside, err, out)
	}
}

// write puts the files of a world beside the configuration.
func (w *world) write(t *testing.T, dir string) {
	t.Helper()
	for name, text := range w.files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestScopeOfScan does so for `scan`, which names its targets itself and takes
// the excludes of the sensor's configuration, and for names that resolve to
// what is excluded.
func TestScopeOfScan(t *testing.T) {
	for seed, method := range []string{"syn", "connect", "auto", "syn", "connect"} {
		onLink := seed >= 3
		t.Run(fmt.Sprintf("%s,%d,onlink=%t", method, seed, onLink), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 6))
			w := newWorld(r, onLink)
			// All targets have the same ports in a scan.
			ports := append(w.wishes[0].tcp, 22)
			p := wide(t, onLink)
			resolve(t, p, map[string]netip.Addr{
				"in.example.": w.wishes[0].target.Addr(), "out.example.": w.excluded[0].Addr()})
			wire := capturetest.RecordReceived(t, p.Far)
			dir := t.TempDir()
			w.write(t, dir)
			file := filepath.Join(dir, "sonde.toml")
			if err := os.WriteFile(file, []byte(fmt.Sprintf("[sensor]\nstate_dir = %q\n", dir)+w.watches), 0o644); err != nil {
				t.Fatal(err)
			}
			args := []string{"scan", "-c", file, "-p", numbers(ports), "--method", method, "--timeout", "300ms",
				"--exclude", w.wishes[0].target.Addr().Next().Next().String(), "in.example", "out.example"}
			w.excluded = append(w.excluded, netip.PrefixFrom(w.wishes[0].target.Addr().Next().Next(), 32))
			for i := range w.wishes {
				w.wishes[i].tcp, w.wishes[i].udp = ports, nil
				args = append(args, w.wishes[i].target.String())
			}
			out, err := p.Sensor.Command(t.Context(), program(t), args...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			asked, others := w.check(t, wire.Frames())
			w.complete(t, asked)
			t.Logf("%d endpoints of TCP; beside them %v", len(asked), others)
			if others["resolver"] == 0 {
				t.Errorf("no name was resolved: %v", others)
			}
		})
	}
}

// resolve answers for names at the far end of the link, and makes that the
// resolver of the sensor.
func resolve(t *testing.T, p *capturetest.Pair, names map[string]netip.Addr) {
	t.Helper()
	dir := filepath.Join("/etc/netns", p.Sensor.Name) // where ip-netns(8) looks
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	text := fmt.Sprintf("nameserver %s\n", capturetest.Target4)
	if err := os.WriteFile(filepath.Join(dir, "resolv.conf"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var c net.PacketConn
	p.Target.Do(t, func() (err error) {
		c, err = net.ListenPacket("udp", netip.AddrPortFrom(capturetest.Target4, resolverPort).String())
		return err
	})
	var all sync.WaitGroup
	all.Go(func() {
		b := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if answer := answerName(b[:n], names); answer != nil {
				_, _ = c.WriteTo(answer, from)
			}
		}
	})
	t.Cleanup(func() {
		_ = c.Close()
		all.Wait()
	})
}

// answerName answers one question for an address.
func answerName(request []byte, names map[string]netip.Addr) []byte {
	var m dnsmessage.Message
	if m.Unpack(request) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	reply := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true}, Questions: m.Questions}
	a, ok := names[q.Name.String()]
	switch {
	case ok && q.Type == dnsmessage.TypeAAAA && a.Is6():
		reply.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60},
			Body: &dnsmessage.AAAAResource{AAAA: a.As16()}}}
	case ok && q.Type == dnsmessage.TypeA && a.Is4():
		reply.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60},
			Body: &dnsmessage.AResource{A: a.As4()}}}
	case !ok:
		reply.RCode = dnsmessage.RCodeNameError
	}
	b, err := reply.Pack()
	if err != nil {
		return nil
	}
	return b
}
