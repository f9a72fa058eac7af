package session

import (
	"errors"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/match"
	"sonde/probes"
	"sonde/probes/tlsprobe"
)

// loadText makes a database of one text.
func loadText(t testing.TB, text string) *probes.Database {
	t.Helper()
	db, err := probes.Load(probes.Source{Name: "test.probes", Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// proberOf makes a prober that opens so many connections at once.
func proberOf(t testing.TB, text string, connections int) *Prober {
	t.Helper()
	settings := DefaultSettings()
	settings.MaxWait = sequenceWait
	settings.Connections = connections
	p, err := New(Config{Database: loadText(t, text), Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var boxEndpoint = probes.Endpoint{
	Addr: netip.MustParseAddr("192.0.2.1"), Port: 7000, Transport: probes.TCP,
}

// A visit that waits costs little, and to go on waiting nothing.
func TestWaitingMachineIsSmall(t *testing.T) {
	const n, limit = 2000, 3 << 10
	p := proberOf(t, laddered, 2)
	sc := match.NewScratch()
	now := time.Now()
	machines := make([]*Machine, n)
	before := heap()
	for i := range machines {
		m := p.NewMachine(boxEndpoint, Remembered{}, sc)
		m.Start(now)
		m.Handle(now, Event{Kind: Opened, Conn: 1, RTT: time.Millisecond})
		m.Handle(now.Add(300*time.Millisecond), Event{Kind: Woken})
		m.Handle(now.Add(301*time.Millisecond), Event{Kind: Opened, Conn: 2, RTT: time.Millisecond})
		machines[i] = m
	}
	each := (heap() - before) / n
	t.Logf("%d bytes for a machine that waits on two connections", each)
	if each > limit {
		t.Errorf("more than %d", limit)
	}
	if len(machines[0].lines) != 2 {
		t.Fatalf("%d connections", len(machines[0].lines))
	}
	m := machines[0]
	at := now.Add(302 * time.Millisecond)
	allocs := testing.AllocsPerRun(100, func() {
		at = at.Add(time.Millisecond)
		m.Handle(at, Event{Kind: Woken})
	})
	if allocs != 0 {
		t.Errorf("%v allocations to be woken too early", allocs)
	}
	runtime.KeepAlive(machines)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// Evidence that was stored tells the same again, by the same machine.
func TestReplay(t *testing.T) {
	p := proberOf(t, laddered, 2)
	for _, tt := range []struct {
		recorded []probes.Evidence
		want     string
	}{
		{[]probes.Evidence{{Probe: "NULL", Answer: probes.Bytes("HARD0")}}, "hard0 0"},
		{[]probes.Evidence{{Probe: "P2", Answer: probes.Bytes("HARD2")}}, "hard2 2"},
		{[]probes.Evidence{
			{Probe: "P1", Answer: probes.Bytes("SOFT1")}, {Probe: "P4", Answer: probes.Bytes("NARROW4")},
		}, "soft2 4"},
	} {
		if o := replay(t, p, boxEndpoint, Remembered{}, tt.recorded); o.Identity.String() != tt.want {
			t.Errorf("%v: %v, want %s", tt.recorded, o.Identity.String(), tt.want)
		}
	}
}

// What is told of a connection that was closed, or was never there, changes
// nothing.
func TestStrayEvents(t *testing.T) {
	p := proberOf(t, laddered, 2)
	m := p.NewMachine(boxEndpoint, Remembered{}, match.NewScratch())
	now := time.Now()
	m.Start(now)
	for _, conn := range []int{0, 2, 99} {
		for kind := Opened; kind <= Unsecured; kind++ {
			if got := m.Handle(now, Event{Kind: kind, Conn: conn, Err: io.EOF}); len(got) != 0 {
				t.Errorf("event %d of connection %d: %+v", kind, conn, got)
			}
		}
	}
	last := m.Handle(now, Event{Kind: Cancelled})
	if len(last) != 2 || last[0].Kind != Close || last[1].Kind != Finish || !m.Done() {
		t.Errorf("cancelled: %+v", last)
	}
	if got := m.Handle(now, Event{Kind: Opened, Conn: 1}); got != nil {
		t.Errorf("after the end: %+v", got)
	}
}

// A connection on which a service was recognised ends with its goodbye; but
// not where something else was sent, nor at an industrial port.
func TestGoodbye(t *testing.T) {
	const mail = `
Probe TCP NULL q||
match smtp m|^220 .*ESMTP| p/Boxmail/
Probe TCP Help q|HELP\r\n|
ports 7000
match smtp m|^214 | p/Boxmail/
Probe TCP Get q|GET / HTTP/1.0\r\n\r\n|
match http m|^HTTP|
`
	greets := reaction{steps: []step{{do: "say", text: "220 box ESMTP\r\n"}}}
	tests := []struct {
		name     string
		reaction reaction
		port     uint16
		known    string
		want     []string
	}{
		{"greeting", greets, 7000, "", []string{"QUIT\r\n"}},
		{
			"own probe", reaction{to: "HELP", steps: []step{{do: "say", text: "214 ok\r\n"}}}, 7000, "Help",
			[]string{"HELP\r\n", "QUIT\r\n"},
		},
		{
			"another's probe", reaction{to: "GET", steps: greets.steps}, 7000, "Get",
			[]string{"GET / HTTP/1.0\r\n\r\n"},
		},
		{"industrial", greets, 502, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			settings := DefaultSettings()
			settings.Allow.Industrial = true
			settings.Settle = 500 * time.Millisecond
			p, err := New(Config{Database: loadText(t, mail), Settings: settings})
			if err != nil {
				t.Fatal(err)
			}
			ep := boxEndpoint
			ep.Port = tt.port
			s := newSim(t, p.NewMachine(ep, Remembered{Probe: tt.known}, match.NewScratch()),
				&peer{rtt: time.Millisecond, reactions: []reaction{tt.reaction}})
			o := s.run()
			if diff := cmp.Diff(tt.want, s.sent); diff != "" || o.Service != "smtp" {
				t.Error(o.Service, diff)
			}
		})
	}
}

// MySQL's goodbye is an attempt to log in, so it is only said where such are
// allowed.
func TestGoodbyeThatLogsIn(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		settings := DefaultSettings()
		settings.Allow.Credentials = allowed
		p, err := New(Config{Database: loadText(t, "Probe TCP NULL q||\nmatch mysql m|^J|\n"), Settings: settings})
		if err != nil {
			t.Fatal(err)
		}
		greets := reaction{steps: []step{{do: "say", text: "J\x00\x00\x00\x0a"}}}
		s := newSim(t, p.NewMachine(boxEndpoint, Remembered{}, match.NewScratch()),
			&peer{rtt: time.Millisecond, reactions: []reaction{greets}})
		if o := s.run(); o.Service != "mysql" || len(s.sent) > 0 != allowed {
			t.Errorf("allowed %v: %s, sent %q", allowed, o.Service, s.sent)
		}
	}
}

// A probe that must come from a port of its own has a socket of its own.
func TestSourcePort(t *testing.T) {
	p := proberOf(t, `
Probe UDP First q|1|
ports 7000
match first m|^1|
Probe UDP Own q|2| source=500
ports 7000
match own m|^2|
Probe UDP Third q|3|
ports 7000
match third m|^3|
`, 2)
	ep := boxEndpoint
	ep.Transport = probes.UDP
	m := p.NewMachine(ep, Remembered{}, match.NewScratch())
	now := time.Now()
	var sources []uint16
	var on []int
	var wake time.Time
	for queue := m.Start(now); !m.Done(); {
		if len(queue) == 0 {
			now = wake
			queue = slices.Clone(m.Handle(now, Event{Kind: Woken}))
			continue
		}
		a := queue[0]
		queue = slices.Clone(queue[1:])
		switch a.Kind {
		case Open:
			sources = append(sources, a.SourcePort)
			queue = append(queue, m.Handle(now, Event{Kind: Opened, Conn: a.Conn})...)
		case Send:
			if !slices.Contains(on, a.Conn*10+int(a.Data[0]-'0')) {
				on = append(on, a.Conn*10+int(a.Data[0]-'0'))
			}
			queue = append(queue, m.Handle(now, Event{Kind: Sent, Conn: a.Conn})...)
		case Wake:
			wake = a.At
		case StartTLS, ReadKey, Close, Finish:
		}
	}
	if diff := cmp.Diff([]uint16{0, 500}, sources); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{11, 22, 13}, on); diff != "" {
		t.Error("connection and probe", diff)
	}
}

// Whatever a peer and a driver do, a visit neither panics nor leaves
// connections open, and it ends.
func FuzzMachine(f *testing.F) {
	f.Add([]byte("\x00\x10\x20\x30\x40"), uint8(2))
	f.Add([]byte(strings.Repeat("\x11\x23", 40)), uint8(4))
	f.Add([]byte("\x05\x06\x07\x00\x01\x02\x03\x04"), uint8(1))
	db := loadText(f, strings.Replace(laddered, "ports 7000", "ports 80\nsslports 7000", 1)+`
Probe TCP Hello q|\x16\x03\x01|
rarity 1
match ssl m|^\x16|
match ssh m|^SSH-|
Probe UDP U1 q|u|
match u m|^u1|
softmatch u m|^u|
Probe UDP U2 q|v| source=9
match v m|^v|
`)
	texts := []string{"HARD0", "SOFT1", "\x16\x03", "", "u", "u1", "v", "220 x\r\n", "SSH-2.0-x\r\n", strings.Repeat("x", 5000)}
	errs := []error{io.EOF, syscall.ECONNRESET, syscall.ECONNREFUSED, nil, errors.New("odd")}
	f.Fuzz(func(t *testing.T, script []byte, connections uint8) {
		settings := DefaultSettings()
		settings.Connections = 1 + int(connections%8)
		settings.SSHKey = true
		p, err := New(Config{Database: db, Settings: settings})
		if err != nil {
			t.Fatal(err)
		}
		ep := boxEndpoint
		if connections >= 128 {
			ep.Transport = probes.UDP
		}
		m := p.NewMachine(ep, Remembered{}, match.NewScratch())
		now := time.Unix(1, 0)
		open := map[int]bool{}
		do := func(actions []Action) {
			for _, a := range actions {
				switch a.Kind {
				case Open:
					open[a.Conn] = true
				case Close:
					delete(open, a.Conn)
				case Finish, Send, StartTLS, ReadKey, Wake:
				}
			}
		}
		do(m.Start(now))
		for i := 0; !m.Done() && i < 10_000; i++ {
			b := byte(i)
			if i < len(script) {
				b = script[i]
			}
			now = now.Add(time.Duration(b) * 3 * time.Millisecond)
			e := Event{
				Kind: Opened + EventKind(b)%9, Conn: 1 + int(b>>3)%8,
				Data: []byte(texts[int(b>>1)%len(texts)]), Err: errs[int(b>>2)%len(errs)],
			}
			if e.Kind == Unsecured {
				e.Err = &tlsprobe.HandshakeError{Err: io.EOF, SpokeTLS: b&1 == 0}
			}
			if e.Kind == Ended || e.Kind == Unsecured || e.Kind == Shown {
				delete(open, e.Conn)
			}
			do(m.Handle(now, e))
		}
		if !m.Done() || len(open) != 0 {
			t.Fatalf("done %v, open %v", m.Done(), open)
		}
		if o := m.Observation(now); o.Outcome == "" || o.Cost.BytesIn > settings.MaxBytes {
			t.Fatalf("%+v", o)
		}
	})
}
