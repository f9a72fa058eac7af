package rpc

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
)

// mapper is an rpcbind with NFS, as Linux has it.
func mapper() *fakeServer {
	var v3 []byte
	for _, e := range []struct {
		program, version uint32
		network, addr    string
	}{
		{100000, 4, "tcp6", "::.0.111"}, {100000, 3, "tcp6", "::.0.111"},
		{100000, 4, "udp", "0.0.0.0.0.111"}, {100000, 2, "tcp", "0.0.0.0.0.111"},
		{100000, 4, "local", "/run/rpcbind.sock"},
		{100003, 3, "tcp", "0.0.0.0.8.1"}, {100003, 4, "tcp", "0.0.0.0.8.1"},
		{100005, 1, "udp", "0.0.0.0.78.80"}, {100005, 3, "udp", "0.0.0.0.78.80"},
		{100005, 1, "tcp", "0.0.0.0.78.81"}, {77, 1, "tcp", "0.0.0.0.78.82"}, {78, 1, "tcp", "0.0.0.0.0.0"},
	} {
		v3 = append(v3, rpcbEntry(e.program, e.version, e.network, e.addr, "superuser")...)
	}
	v3 = append(v3, words(0)...)
	return &fakeServer{
		programs: map[uint32][2]uint32{PortMapper: {2, 4}},
		lists: map[uint32][]byte{4: v3, 3: v3,
			2: words(1, 100000, 2, 6, 111, 1, 100003, 2, 6, 2049, 1, 100021, 4, 17, 4045, 0)},
	}
}

func TestListerMerges(t *testing.T) {
	want := List{
		Programs: []Program{
			{77, "", 1, 1, probes.TCP, 20050},
			{100000, "portmapper", 2, 4, probes.TCP, 111},
			{100000, "portmapper", 4, 4, probes.UDP, 111},
			{100003, "nfs", 2, 4, probes.TCP, 2049},
			{100005, "mountd", 1, 1, probes.TCP, 20049},
			{100005, "mountd", 1, 3, probes.UDP, 20048},
			{100021, "nlockmgr", 4, 4, probes.UDP, 4045},
		},
		Versions: []uint32{4, 2},
		Reason:   "listed",
	}
	for _, transport := range []probes.Transport{probes.TCP, probes.UDP} {
		for seed := range uint64(20) {
			l := NewLister(Settings{Transport: transport, XID: 1 << 31})
			calls := converse(l, mapper(), transport, rand.New(rand.NewPCG(seed, 4)), nil)
			got := l.Result()
			if diff := cmp.Diff(want, got); diff != "" || calls != 2 {
				t.Errorf("%s: %d calls (-want +got)\n%s", transport, calls, diff)
			}
		}
	}
	facts := []probes.RPCFacts{
		{Program: 77, Low: 1, High: 1},
		{Program: 100000, Name: "portmapper", Low: 2, High: 4},
		{Program: 100003, Name: "nfs", Low: 2, High: 4},
		{Program: 100005, Name: "mountd", Low: 1, High: 3},
		{Program: 100021, Name: "nlockmgr", Low: 4, High: 4},
	}
	if diff := cmp.Diff(facts, want.Facts()); diff != "" {
		t.Errorf("facts (-want +got)\n%s", diff)
	}
	if p, ok := want.Find(probes.TCP, 2049); !ok || p.Name != "nfs" {
		t.Errorf("port 2049 is %+v", p)
	}
	if p, ok := want.Find(probes.UDP, 2049); ok {
		t.Errorf("port 2049 over UDP is %+v", p)
	}
}

func TestListerVersions(t *testing.T) {
	for _, c := range []struct {
		name     string
		versions [2]uint32
		denied   bool
		want     []uint32
		calls    int
		reason   string
	}{
		{"all", [2]uint32{2, 4}, false, []uint32{4, 2}, 2, "listed"},
		{"without 4", [2]uint32{2, 3}, false, []uint32{3, 2}, 3, "listed"},
		{"portmap", [2]uint32{2, 2}, false, []uint32{2}, 3, "listed"},
		{"without 2", [2]uint32{3, 4}, false, []uint32{4}, 2, "listed"},
		{"none", [2]uint32{9, 9}, false, nil, 3, "no list"},
		{"denied", [2]uint32{2, 4}, true, nil, 3, "no list"},
	} {
		s := mapper()
		s.programs[PortMapper], s.denied = c.versions, c.denied
		l := NewLister(Settings{Transport: probes.TCP})
		calls := converse(l, s, probes.TCP, rand.New(rand.NewPCG(1, 5)), nil)
		res := l.Result()
		if diff := cmp.Diff(c.want, res.Versions); diff != "" || calls != c.calls || res.Reason != c.reason {
			t.Errorf("%s: %d calls, %q (-want +got)\n%s", c.name, calls, res.Reason, diff)
		}
	}
}

func TestListerLoss(t *testing.T) {
	l := NewLister(Settings{Transport: probes.UDP})
	calls := converse(l, mapper(), probes.UDP, nil, func(call int) bool { return call < 3 })
	if res := l.Result(); res.Reason != "listed" || len(res.Programs) != 7 || calls != 4 {
		t.Errorf("two calls lost: %d calls, %+v", calls, res)
	}
	for _, transport := range []probes.Transport{probes.TCP, probes.UDP} {
		l := NewLister(Settings{Transport: transport})
		calls := converse(l, mapper(), transport, nil, func(int) bool { return true })
		if res := l.Result(); res.Reason != "no list" || calls > 2*MaxTries {
			t.Errorf("%s, silent: %d calls, %+v", transport, calls, res)
		}
	}
	// a list too long for a datagram never comes, the shorter one does
	l = NewLister(Settings{Transport: probes.UDP})
	converse(l, mapper(), probes.UDP, nil, func(call int) bool { return call <= MaxTries })
	if res := l.Result(); res.Reason != "listed" || !cmp.Equal(res.Versions, []uint32{2}) {
		t.Errorf("version 4 lost: %+v", res)
	}
}

func TestListerReopens(t *testing.T) {
	s := mapper()
	l := NewLister(Settings{Transport: probes.TCP})
	opened := 1
	for ; !l.Done(); opened++ { // a server that closes after each reply
		sent, _ := l.Next()
		l.Received(AppendRecord(nil, s.answer(sent[4:])))
		if l.Done() {
			break
		}
		l.Reopened()
	}
	if res := l.Result(); res.Reason != "listed" || len(res.Programs) != 7 || opened != 2 {
		t.Errorf("%d connections: %+v", opened, res)
	}
	l = NewLister(Settings{Transport: probes.TCP})
	for opened = 1; !l.Done(); opened++ { // one that closes without any
		l.Next()
		l.Reopened()
	}
	if res := l.Result(); res.Reason != "no list" || opened > 5 {
		t.Errorf("%d connections: %+v", opened, res)
	}
}

func TestListerKeepsWhatCameBeforeAnError(t *testing.T) {
	s := mapper()
	s.lists[4] = s.lists[4][:len(s.lists[4])-10]
	l := NewLister(Settings{Transport: probes.TCP})
	converse(l, s, probes.TCP, rand.New(rand.NewPCG(1, 6)), nil)
	if res := l.Result(); len(res.Programs) != 7 || len(res.Problems) != 1 {
		t.Errorf("%+v", res)
	}
	var long []byte
	for range MaxMappings + 5 {
		long = append(long, words(1, 100003, 3, 6, 2049)...)
	}
	s = &fakeServer{programs: map[uint32][2]uint32{PortMapper: {2, 2}}, lists: map[uint32][]byte{2: long}}
	l = NewLister(Settings{Transport: probes.TCP})
	converse(l, s, probes.TCP, rand.New(rand.NewPCG(1, 7)), nil)
	if res := l.Result(); !res.Truncated || len(res.Programs) != 1 {
		t.Errorf("%+v", res)
	}
}

// FuzzLister feeds anything, cut anywhere: what is kept must be bounded, and the
// lister must end. What is kept may depend on the cut, as a reply that comes
// before its call answers nothing.
func FuzzLister(f *testing.F) {
	s := mapper()
	l := NewLister(Settings{Transport: probes.TCP})
	sent, _ := l.Next()
	f.Add(AppendRecord(nil, s.answer(sent[4:])), uint16(100))
	f.Add(AppendRecord(nil, words(0, 1, 0, 0, 0, 2, 2, 2)), uint16(3))
	f.Fuzz(func(t *testing.T, stream []byte, cut uint16) {
		at := min(int(cut), len(stream))
		l := NewLister(Settings{Transport: probes.TCP})
		for _, part := range [][]byte{stream[:at], stream[at:]} {
			l.Next()
			l.Received(part)
		}
		for lapses := 0; !l.Done(); lapses++ {
			l.Next()
			if l.Lapsed(); lapses > len(dumps) {
				t.Fatal("does not end")
			}
		}
		res := l.Result()
		if len(res.Programs) > 2*MaxMappings || len(res.Problems) > 10 {
			t.Errorf("%d programs, %d problems", len(res.Programs), len(res.Problems))
		}
		for _, p := range res.Programs {
			if p.Low > p.High || p.Port == 0 {
				t.Errorf("%+v", p)
			}
		}
	})
}
