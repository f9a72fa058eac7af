package rpc

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sonde/match"
	"sonde/probes"
)

// talk is what a Grind and a Lister have in common for a test.
type talk interface {
	Next() ([]byte, bool)
	Received([]byte)
	Lapsed()
	Reopened()
	Done() bool
}

// converse lets t talk with s until it is done, and gives the number of calls.
// Replies come in random segments; lose decides which calls get no reply.
func converse(t talk, s *fakeServer, transport probes.Transport, r *rand.Rand, lose func(call int) bool) int {
	calls, idle := 0, 0
	var stream []byte
	for !t.Done() && calls < 20_000 {
		before := calls
		for sent, ok := t.Next(); ok; sent, ok = t.Next() {
			for _, msg := range unframe(transport, sent) {
				calls++
				if lose != nil && lose(calls) {
					continue
				}
				if transport == probes.UDP {
					t.Received(s.answer(msg))
					continue
				}
				stream = AppendRecord(stream, s.answer(msg))
			}
		}
		for len(stream) > 0 {
			n := 1 + r.IntN(min(len(stream), 100))
			t.Received(stream[:n])
			stream = stream[n:]
		}
		if calls == before {
			if idle++; idle > 1000 {
				panic("neither done nor to be moved")
			}
			t.Lapsed()
		}
	}
	return calls
}

var nfsServer = &fakeServer{programs: map[uint32][2]uint32{100003: {3, 4}, 100227: {3, 3}}}

func TestGrindFinds(t *testing.T) {
	for _, transport := range []probes.Transport{probes.TCP, probes.UDP} {
		for seed := range uint64(20) {
			g := NewGrind(Names().Numbers(), Settings{Transport: transport, XID: 1<<32 - 3})
			calls := converse(g, nfsServer, transport, rand.New(rand.NewPCG(seed, 1)), nil)
			got := g.Result()
			want := GrindResult{
				Found: []probes.RPCFacts{
					{Program: 100003, Name: "nfs", Low: 3, High: 4},
					{Program: 100227, Name: "nfs_acl", Low: 3, High: 3},
				},
				Confirmed: true, Asked: batch - 1, Unavailable: batch - 3, Reason: "found",
			}
			if diff := cmp.Diff(want, got); diff != "" || calls != batch {
				t.Errorf("%s, seed %d: %d calls (-want +got)\n%s", transport, seed, calls, diff)
			}
		}
	}
}

func TestGrindReachesTheLastNumber(t *testing.T) {
	numbers := Names().Numbers()
	last := numbers[len(numbers)-1]
	s := &fakeServer{programs: map[uint32][2]uint32{last: {2, 2}}}
	g := NewGrind(numbers, Settings{Transport: probes.TCP})
	if calls := converse(g, s, probes.TCP, rand.New(rand.NewPCG(1, 1)), nil); calls != len(numbers)+1 {
		t.Errorf("%d calls for %d numbers", calls, len(numbers))
	}
	res := g.Result()
	id, ok := res.Identity()
	want := match.Identity{Service: Names().Name(last), Version: "2", Info: fmt.Sprintf("RPC #%d", last)}
	if diff := cmp.Diff(want, id); diff != "" || !ok {
		t.Errorf("identity %v (-want +got)\n%s", ok, diff)
	}
}

func TestGrindEnds(t *testing.T) {
	all := Names().Numbers()
	for _, c := range []struct {
		name   string
		server *fakeServer
		reason string
		calls  int
	}{
		{"nothing known", &fakeServer{}, "no known program", len(all) + 1},
		{"credentials", &fakeServer{denied: true},
			"does not tell programs apart: authentication denied", batch},
		{"generous", &fakeServer{generous: true}, "claims every program", batch},
	} {
		for _, transport := range []probes.Transport{probes.TCP, probes.UDP} {
			g := NewGrind(all, Settings{Transport: transport})
			calls := converse(g, c.server, transport, rand.New(rand.NewPCG(1, 2)), nil)
			res := g.Result()
			if res.Reason != c.reason || calls != c.calls || len(res.Found) > 0 {
				t.Errorf("%s, %s: %q after %d calls, found %v", c.name, transport, res.Reason, calls, res.Found)
			}
		}
	}
}

func TestGrindSurvivesLoss(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 3))
		g := NewGrind(Names().Numbers(), Settings{Transport: probes.UDP})
		converse(g, nfsServer, probes.UDP, r, func(int) bool { return r.IntN(5) == 0 })
		if res := g.Result(); len(res.Found) == 0 || res.Found[0].Name != "nfs" {
			t.Errorf("seed %d: %+v", seed, res)
		}
	}
}

func TestGrindSilence(t *testing.T) {
	for _, transport := range []probes.Transport{probes.TCP, probes.UDP} {
		g := NewGrind(Names().Numbers(), Settings{Transport: transport})
		calls := converse(g, nfsServer, transport, nil, func(int) bool { return true })
		if res := g.Result(); res.Reason != "silent" || calls > MaxTries*batch {
			t.Errorf("%s: %q after %d calls", transport, res.Reason, calls)
		}
	}
}

// TestGrindOneAtATime talks to a server that forgets what was sent ahead.
func TestGrindOneAtATime(t *testing.T) {
	g := NewGrind(Names().Numbers(), Settings{Transport: probes.TCP})
	for turn := 0; !g.Done(); turn++ {
		var calls [][]byte
		for sent, ok := g.Next(); ok; sent, ok = g.Next() {
			calls = append(calls, sent)
		}
		switch {
		case turn > 0 && len(calls) > 1:
			t.Fatalf("turn %d: %d calls at once", turn, len(calls))
		case len(calls) == 0:
			t.Fatalf("turn %d: no call", turn)
		}
		g.Received(AppendRecord(nil, nfsServer.answer(calls[0][4:])))
		if turn == 0 {
			g.Lapsed()
		}
	}
	if res := g.Result(); res.Reason != "found" || len(res.Found) != 2 {
		t.Errorf("%+v", res)
	}
}

func TestGrindReopens(t *testing.T) {
	g := NewGrind(Names().Numbers(), Settings{Transport: probes.TCP})
	opened := 1
	for !g.Done() { // a server that closes after ten replies
		sent, ok := g.Next()
		for n := 0; ok && n < 10; n++ {
			g.Received(AppendRecord(nil, nfsServer.answer(sent[4:])))
			sent, ok = g.Next()
		}
		if !g.Done() {
			g.Received([]byte{0x80, 0, 0}) // cut in a header
			g.Reopened()
			opened++
		}
	}
	if res := g.Result(); res.Reason != "found" || len(res.Found) != 2 || opened != 4 {
		t.Errorf("%d connections: %+v", opened, res)
	}
	g = NewGrind(Names().Numbers(), Settings{Transport: probes.TCP})
	for range 2 {
		g.Next()
		g.Reopened()
	}
	if res := g.Result(); res.Reason != "closes the connection" {
		t.Errorf("closed without a reply: %+v", res)
	}
}

func TestGrindHostile(t *testing.T) {
	reply := func(xid uint32, rest ...uint32) []byte { return words(append([]uint32{xid, 1, 0, 0, 0}, rest...)...) }
	for _, c := range []struct {
		name string
		msg  []byte
		want Answer
	}{
		{"turned range", reply(1, 2, 4, 3), Answer{100003, ProgramMismatch, 4, 3}},
		{"impossible version", reply(1, 2, 0, 0xffffffff), Answer{100003, ProgramMismatch, 0, 0xffffffff}},
		{"success", reply(1, 0), Answer{100003, Success, 0, 0}},
	} {
		g := NewGrind([]uint32{100003, 100005}, Settings{Transport: probes.UDP})
		for _, ok := g.Next(); ok; _, ok = g.Next() {
		}
		g.Received(c.msg)
		g.Received(reply(0, 1))
		g.Received(reply(2, 1))
		res := g.Result()
		if diff := cmp.Diff([]Answer{c.want}, res.Other); diff != "" || len(res.Found) > 0 || !g.Done() {
			t.Errorf("%s: %+v (-want +got)\n%s", c.name, res, diff)
		}
	}
	g := NewGrind(Names().Numbers(), Settings{Transport: probes.UDP})
	g.Next()
	for range MaxStrays + 1 {
		g.Received(reply(77, 2, 1, 1))
	}
	if !g.Done() {
		t.Error("endless replies to nothing were read")
	}
	g = NewGrind(Names().Numbers(), Settings{Transport: probes.TCP})
	g.Received([]byte("SSH-2.0-OpenSSH_9.2\r\n"))
	if res := g.Result(); !g.Done() || len(res.Found) > 0 {
		t.Errorf("text: %+v", res)
	}
}

// FuzzGrind feeds anything, cut anywhere: what is found must not depend on the
// cut, and the grind must end.
func FuzzGrind(f *testing.F) {
	one := func(words ...uint32) []byte { return AppendRecord(nil, appendUint32(nil, words...)) }
	f.Add(append(one(0, 1, 0, 0, 0, 1), one(1, 1, 0, 0, 0, 2, 3, 4)...), uint16(9))
	f.Add(append(one(2, 1, 1, 1, 5), one(2, 1, 0, 0, 0, 2, 3, 4)...), uint16(30))
	f.Add([]byte("HTTP/1.1 400 Bad\r\n"), uint16(2))
	f.Fuzz(func(t *testing.T, stream []byte, cut uint16) {
		at := min(int(cut), len(stream))
		whole, parts := grindOn(stream), grindOn(stream[:at], stream[at:])
		if diff := cmp.Diff(whole, parts); diff != "" {
			t.Errorf("cut at %d: (-whole +cut)\n%s", at, diff)
		}
	})
}

func grindOn(parts ...[]byte) GrindResult {
	g := NewGrind([]uint32{100003, 100005, 100021}, Settings{Transport: probes.TCP})
	for _, ok := g.Next(); ok; _, ok = g.Next() {
	}
	for _, p := range parts {
		g.Received(p)
	}
	for lapses := 0; !g.Done(); lapses++ {
		for _, ok := g.Next(); ok; _, ok = g.Next() {
		}
		if g.Lapsed(); lapses > 10 {
			panic("does not end")
		}
	}
	return g.Result()
}
