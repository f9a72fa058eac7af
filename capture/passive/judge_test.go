package passive

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func scope(prefixes ...string) Contains {
	var in []netip.Prefix
	for _, p := range prefixes {
		in = append(in, netip.MustParsePrefix(p))
	}
	return func(a netip.Addr, network string, port uint16) bool {
		for _, p := range in {
			if p.Contains(a.WithZone("")) && port != 9 {
				return true
			}
		}
		return false
	}
}

// testJudge holds 198.18.0.0/16 and 2001:db8::/64, but for port 9.
func testJudge(cfg Config) *judge {
	cfg.Contains = scope("198.18.0.0/16", "2001:db8::/64", "fe80::/10")
	cfg.defaults()
	return newJudge(&cfg)
}

func endpoint(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

var client = endpoint("198.51.100.7:40000")

// handshake hands j the SYN, if it is to be seen, and the SYN-ACK.
func handshake(j *judge, server netip.AddrPort, seen bool, at time.Time) {
	r := request{network: "tcp", client: client, server: server, seq: rand.Uint32()}
	if seen {
		j.requested(&r, at)
	}
	j.answered(&Sighting{AddrPort: server, Network: "tcp", Kind: SYNACK, At: at}, &r, true)
}

func drain(j *judge) (out []Sighting) {
	for len(j.out) > 0 {
		out = append(out, <-j.out)
	}
	return out
}

func TestAnswerWithItsRequestIsBegun(t *testing.T) {
	j := testJudge(Config{})
	server := endpoint("198.18.0.1:80")
	r := request{network: "tcp", client: client, server: server, seq: 7}
	j.requested(&r, t0)
	for name, c := range map[string]struct {
		change func(*request)
		after  time.Duration
		begun  bool
	}{
		"fits":              {func(*request) {}, time.Second, true},
		"other number":      {func(r *request) { r.seq++ }, time.Second, false},
		"other client":      {func(r *request) { r.client = endpoint("198.51.100.7:40001") }, 0, false},
		"other network":     {func(r *request) { r.network = "udp" }, 0, false},
		"late":              {func(*request) {}, flowKeep, false},
		"clock turned back": {func(*request) {}, -time.Second, false},
	} {
		answered := r
		c.change(&answered)
		s := Sighting{AddrPort: server, Network: "tcp", Kind: SYNACK, At: t0.Add(c.after)}
		j.answered(&s, &answered, true)
		if s.Begun != c.begun {
			t.Errorf("%s: begun %t, want %t", name, s.Begun, c.begun)
		}
	}
}

func TestNothingOutsideIsTold(t *testing.T) {
	j := testJudge(Config{})
	for _, a := range []string{"198.19.0.1:80", "198.18.0.1:9", "[2001:db9::1]:80"} {
		handshake(j, endpoint(a), true, t0)
		j.claimed(&Sighting{AddrPort: endpoint(a), Network: "tcp", Kind: MDNS, At: t0})
	}
	j.host(&Sighting{AddrPort: endpoint("198.19.0.1:0"), Kind: ARP, At: t0})
	if got := drain(j); got != nil {
		t.Errorf("told %v", got)
	}
	if s := j.count.stats(); s.Outside != 10 || s.Sightings != 0 || s.Begun != 0 {
		t.Errorf("counted %+v, want 10 outside", s)
	}
	if a := j.seen(t0); a != nil {
		t.Errorf("remembers %v", a)
	}
}

func TestTellsAgainAfterAWhile(t *testing.T) {
	j := testJudge(Config{Again: time.Minute})
	server := endpoint("198.18.0.1:80")
	told := func(step string, want int) {
		t.Helper()
		if got := drain(j); len(got) != want {
			t.Errorf("%s: told %v, want %d", step, got, want)
		}
	}
	handshake(j, server, false, t0)
	told("alone", 1)
	handshake(j, server, false, t0.Add(59*time.Second))
	told("alone, again", 0)
	handshake(j, server, true, t0.Add(59*time.Second))
	told("begun: a forged one that came before does not hide it", 1)
	handshake(j, server, false, t0.Add(100*time.Second))
	told("alone after begun", 0)
	handshake(j, server, true, t0.Add(119*time.Second))
	told("begun after a minute", 1)
	if n := j.count.repeated.Load(); n != 2 {
		t.Errorf("%d repeated, want 2", n)
	}
}

func TestHostsAreToldWhenSomethingIsNew(t *testing.T) {
	j := testJudge(Config{})
	s := Sighting{AddrPort: endpoint("198.18.0.1:0"), Kind: ARP, MAC: MAC{2}, At: t0}
	for _, step := range []struct {
		change func()
		want   int
	}{
		{func() {}, 1},
		{func() {}, 0},
		{func() { s.MAC[5] = 1 }, 1},
		{func() { s.Kind, s.Name = DHCP, "nas" }, 1},
		{func() { s.Name = "nas2" }, 1},
		{func() { s.At = t0.Add(againHost*again - 1) }, 0},
		{func() { s.At = t0.Add(againHost * again) }, 1},
	} {
		step.change()
		j.host(&s)
		if got := drain(j); len(got) != step.want {
			t.Errorf("%+v: told %d, want %d", s, len(got), step.want)
		}
	}
}

// What could not be handed over is told when it is seen the next time.
func TestUntakenIsNotRemembered(t *testing.T) {
	j := testJudge(Config{})
	for range cap(j.out) {
		j.out <- Sighting{}
	}
	handshake(j, endpoint("198.18.0.1:80"), true, t0)
	if s := j.count.stats(); s.Untaken != 1 || s.Sightings != 0 {
		t.Errorf("counted %+v", s)
	}
	drain(j)
	handshake(j, endpoint("198.18.0.1:80"), true, t0)
	if got := drain(j); len(got) != 1 {
		t.Errorf("told %v", got)
	}
}

// flood hands j spoofed SYN-ACKs of the whole scope for a while.
func flood(j *judge, from time.Time, d time.Duration, perSecond int) {
	for i := range int(d.Seconds() * float64(perSecond)) {
		x := rand.Uint64()
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 198<<24|18<<16|uint32(x)&0xffff)
		s := netip.AddrPortFrom(netip.AddrFrom4(a), uint16(x>>16)|1<<10)
		at := from.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		handshake(j, s, false, at)
		if len(j.out) > cap(j.out)/2 {
			drain(j)
		}
	}
}

func TestFloodNeitherHidesNorDrives(t *testing.T) {
	j := testJudge(Config{})
	flood(j, t0, 3*time.Second, 200_000)
	told := j.count.stats().Sightings
	if most := uint64(4 * perSecond * bareShare / 100); told > most || told < 3*perSecond*bareShare/100/2 {
		t.Errorf("%d told in 3 s, want no more than %d, and some", told, most)
	}
	drain(j)
	real := endpoint("198.18.7.7:8443")
	handshake(j, real, true, t0.Add(3*time.Second))
	got := drain(j)
	if len(got) != 1 || got[0].AddrPort != real || !got[0].Begun {
		t.Errorf("told %v, want the real one", got)
	}
}

// Spoofed requests cannot push out a real one before its answer comes.
func TestFloodOfRequestsLeavesTheRealOne(t *testing.T) {
	j := testJudge(Config{})
	spoofed := func(n int, at time.Time) {
		for i := range n {
			x := rand.Uint64()
			r := request{network: "tcp", client: client, server: netip.AddrPortFrom(
				netip.AddrFrom4([4]byte{198, 18, byte(x), byte(x >> 8)}), uint16(x>>16)|1<<10), seq: uint32(x >> 32)}
			j.requested(&r, at.Add(time.Duration(i)*5*time.Microsecond))
		}
	}
	spoofed(400_000, t0)
	now := t0.Add(2 * time.Second)
	r := request{network: "tcp", client: client, server: endpoint("198.18.7.7:8443"), seq: 7}
	j.requested(&r, now)
	spoofed(20_000, now) // the answer takes 100 ms
	s := Sighting{AddrPort: r.server, Network: "tcp", Kind: SYNACK, At: now.Add(100 * time.Millisecond)}
	if !j.answered(&s, &r, true) {
		t.Error("the request was forgotten")
	}
}

// Hosts with all ports open, and both directions in sight, do not stand in the
// way of another.
func TestManyPortsOfFewHostsLeaveRoom(t *testing.T) {
	j := testJudge(Config{})
	for i := range 20 * 65536 { // 20 hosts, in 10 s
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 198<<24|18<<16|uint32(i%20))
		at := t0.Add(time.Duration(i) * 10 * time.Second / (20 * 65536))
		handshake(j, netip.AddrPortFrom(netip.AddrFrom4(a), uint16(i/20)), true, at)
		drain(j)
	}
	real := endpoint("198.18.7.7:8443")
	handshake(j, real, true, t0.Add(10*time.Second))
	if got := drain(j); len(got) != 1 || got[0].AddrPort != real {
		t.Errorf("told %v, want the real one", got)
	}
	if n := j.count.stats().Sightings; n > 11*perSecond {
		t.Errorf("%d told in 10 s", n)
	}
}

func TestOneHostIsHeldBack(t *testing.T) {
	j := testJudge(Config{})
	for i := range 1000 {
		handshake(j, netip.AddrPortFrom(netip.MustParseAddr("198.18.0.1"), uint16(1000+i)), true, t0)
	}
	if got := drain(j); len(got) != hostBurst {
		t.Errorf("told %d ports of one host at once, want %d", len(got), hostBurst)
	}
	for i := range 1000 {
		handshake(j, netip.AddrPortFrom(netip.MustParseAddr("198.18.0.1"), uint16(3000+i)), true, t0.Add(2*time.Second))
	}
	if got := drain(j); len(got) != 2*hostPerSecond {
		t.Errorf("told %d two seconds later, want %d", len(got), 2*hostPerSecond)
	}
}

func TestAddressesAreBounded(t *testing.T) {
	s := addresses{last: map[netip.Addr]time.Time{}, most: 1000}
	addr := func(i int) netip.Addr {
		b := netip.MustParseAddr("2001:db8::").As16()
		binary.BigEndian.PutUint32(b[12:], uint32(i))
		return netip.AddrFrom16(b)
	}
	for i := range 100 { // these are there, and seen again and again
		s.seen(addr(i), t0)
	}
	for i := range 20_000 { // these are forged, each once
		now := t0.Add(time.Duration(i) * time.Millisecond)
		s.seen(addr(1000+i), now)
		s.again(addr(i%100), now)
		s.again(addr(1<<20+i), now)
	}
	got := s.list(t0.Add(20 * time.Second))
	if len(got) != 1000 {
		t.Errorf("%d addresses, want 1000", len(got))
	}
	kept := 0
	for _, a := range got {
		if a.Less(addr(100)) {
			kept++
		}
	}
	if kept < 95 {
		t.Errorf("%d of 100 that are there were kept", kept)
	}
	if got := s.list(t0.Add(25 * time.Hour)); len(got) != 0 || len(s.last) != 0 {
		t.Errorf("%d addresses after a day", len(got))
	}
}

// A table of the size that its arithmetic asks for keeps nearly all.
func TestRecentKeepsHalfItsSize(t *testing.T) {
	r := newRecent(endpointSlots, time.Minute)
	keys := make([]uint64, endpointSlots/2)
	for i := range keys {
		keys[i] = rand.Uint64() | 1
		r.put(keys[i], t0)
	}
	lost := 0
	for _, k := range keys {
		if !r.has(k, t0) {
			lost++
		}
	}
	if lost > len(keys)/50 {
		t.Errorf("lost %d of %d", lost, len(keys))
	}
	if r.has(2, t0) || r.has(keys[len(keys)-1], t0.Add(time.Minute)) {
		t.Error("has what was not put in, or is old")
	}
}

func TestFramesPerSlice(t *testing.T) {
	f := newFrames(1000) // 10 in each 10 ms
	looked := 0
	for i := range 10_000 { // at 10,000/s
		if f.take(t0.Add(time.Duration(i) * 100 * time.Microsecond)) {
			looked++
		}
	}
	if looked != 1000 {
		t.Errorf("looked at %d in a second, want 1000", looked)
	}
	if !f.take(t0) {
		t.Error("looks at nothing after the clock was set back")
	}
}

// TestInterfacesAreToldApart: what was seen on one interface is news on another,
// as the same address may be another host there.
func TestInterfacesAreToldApart(t *testing.T) {
	j := testJudge(Config{})
	for _, name := range []string{"eth1", "eth2", "eth1"} {
		for range 2 {
			r := request{network: "tcp", client: client, server: endpoint("198.18.0.1:80"), seq: rand.Uint32()}
			j.requested(&r, t0)
			j.answered(&Sighting{AddrPort: r.server, Network: "tcp", Kind: SYNACK, At: t0, Interface: name}, &r, true)
			j.host(&Sighting{AddrPort: endpoint("198.18.0.1:0"), Kind: ARP, Name: "x", At: t0, Interface: name})
		}
	}
	var got []string
	for _, s := range drain(j) {
		got = append(got, string(s.Kind)+" "+s.Interface)
	}
	if want := []string{"syn-ack eth1", "arp eth1", "syn-ack eth2", "arp eth2"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}
