package session

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/match"
	"sonde/probes"
)

// nfsServer answers calls as a server of program 100003, versions 3 and 4.
func nfsServer(transport probes.Transport) func(data []byte) []byte {
	const record, call = 4, 40
	return func(data []byte) (out []byte) {
		if transport == probes.UDP && len(data) == call {
			return nfsReply(data)
		}
		for ; transport == probes.TCP && len(data) >= record+call; data = data[record+call:] {
			reply := nfsReply(data[record:])
			out = binary.BigEndian.AppendUint32(out, 1<<31|uint32(len(reply)))
			out = append(out, reply...)
		}
		return out
	}
}

func nfsReply(call []byte) []byte {
	const accepted, unavailable, mismatch = 0, 1, 2
	reply := append(slices.Clone(call[:4]), 0, 0, 0, 1, 0, 0, 0, accepted, 0, 0, 0, 0, 0, 0, 0, 0)
	if binary.BigEndian.Uint32(call[12:]) != 100003 {
		return append(reply, 0, 0, 0, unavailable)
	}
	return append(reply, 0, 0, 0, mismatch, 0, 0, 0, 3, 0, 0, 0, 4)
}

const rpcServices7000 = `
Probe TCP RPCCheckTCP q|ask|
ports 7000
match rpc m|^rpc| i/not the port mapper/
Probe UDP RPCCheck q|ask|
ports 7000
match rpc m|^rpc| i/not the port mapper/
`

// A SunRPC port whose program is not known becomes the program that is there,
// and does so again at each visit.
func TestGrinderNamesTheProgram(t *testing.T) {
	for _, transport := range []probes.Transport{probes.TCP, probes.UDP} {
		t.Run(string(transport), func(t *testing.T) {
			settings := DefaultSettings()
			settings.Grind = true
			p, err := New(Config{Database: loadText(t, rpcServices7000), Settings: settings})
			if err != nil {
				t.Fatal(err)
			}
			ep := boxEndpoint
			ep.Transport = transport
			visit := func(known Remembered) probes.Observation {
				return newSim(t, p.NewMachine(ep, known, match.NewScratch()), &peer{
					rtt:       time.Millisecond,
					reactions: []reaction{{to: "ask", steps: []step{{do: "say", text: "rpc"}}}},
					answers:   nfsServer(transport),
				}).run()
			}
			first := visit(Remembered{})
			want := match.Identity{Service: "nfs", Version: "3-4", Info: "RPC #100003"}
			if diff := cmp.Diff(want, first.Identity); diff != "" || first.Strength != probes.Hard {
				t.Error(first.Strength, first.Errors, diff)
			}
			again := visit(Recall(&first))
			if diff := cmp.Diff(first.Identity, again.Identity); diff != "" || again.Outcome != probes.OutcomeAnswered {
				t.Error(again.Outcome, again.Errors, diff)
			}
			if c := again.Cost; c.Connections != 1 || c.Probes != 1 || c.Extra == nil || c.Extra.Connections != 1 {
				t.Errorf("the revisit cost %+v, extra %+v", c, c.Extra)
			}
			if most := again.Cost.Extra.Probes; most > 2 {
				t.Errorf("the revisit spoke %d times to the grinder's program", most)
			}
		})
	}
}

// A visit that is cancelled while the grinder runs ends at once, and says
// nothing against the program that was known.
func TestCancelledGrinder(t *testing.T) {
	settings := DefaultSettings()
	settings.Grind = true
	p, err := New(Config{Database: loadText(t, rpcServices7000), Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1e9, 0)
	m := p.NewMachine(boxEndpoint, Remembered{Probe: "RPCCheckTCP", Service: "nfs", Program: 100003}, match.NewScratch())
	m.Start(now)
	m.Handle(now, Event{Kind: Opened, Conn: 1})
	m.Handle(now, Event{Kind: Received, Conn: 1, Data: []byte("rpc")})
	m.Handle(now.Add(settings.Settle), Event{Kind: Woken})
	now = now.Add(time.Second)
	if asked := m.Handle(now, Event{Kind: Opened, Conn: 2}); m.Done() || len(asked) == 0 || asked[0].Kind != Send {
		t.Fatalf("the grinder does not run: %+v", asked)
	}
	last := m.Handle(now, Event{Kind: Cancelled})
	o := m.Observation(now)
	if !m.Done() || len(last) != 2 || last[0].Kind != Close || o.Outcome != probes.OutcomeInconclusive {
		t.Errorf("actions %+v, outcome %s, reason %s", last, o.Outcome, o.Reason)
	}
}
