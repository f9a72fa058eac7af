package session

import (
	"net/netip"
	"testing"
	"time"

	"sonde/match"
	"sonde/probes"
)

// A SunRPC server at a port that no probe lists is found within the budgets of
// a first visit: like the common ones it hangs up on what is no record, which
// for them begins with an absurd length.
func TestSunRPCAtAnyPort(t *testing.T) {
	sources, err := probes.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	db, err := probes.Load(sources...)
	if err != nil {
		t.Fatal(err)
	}
	const call, reply = "\x80\x00\x00(SOND", "\x80\x00\x00\x18SOND\x00\x00\x00\x01" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
	server := &peer{rtt: 2 * time.Millisecond, reactions: []reaction{
		{to: call, steps: []step{{do: "say", text: reply}}},
	}}
	for b := range 256 {
		server.reactions = append(server.reactions, reaction{to: string([]byte{byte(b)}), steps: []step{{do: "close"}}})
	}
	p, err := New(Config{Database: db, Settings: DefaultSettings()})
	if err != nil {
		t.Fatal(err)
	}
	ep := probes.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: 40123, Transport: probes.TCP}
	first := newSim(t, p.NewMachine(ep, Remembered{}, match.NewScratch()), server).run()
	if first.Service != "rpc" || first.Probe != "RPCCheckTCP" || first.Strength != probes.Hard {
		t.Errorf("%s by %s, %s; asked %q", first.Service, first.Probe, first.Outcome, first.Asked)
	}
	if first.Cost.Probes > DefaultSettings().MaxProbes || first.Cost.Millis > 1000 {
		t.Errorf("cost %+v", first.Cost)
	}
	again := newSim(t, p.NewMachine(ep, Recall(&first), match.NewScratch()), server).run()
	if again.Service != "rpc" || again.Cost.Connections != 1 || again.Cost.Probes != 1 {
		t.Errorf("a revisit: %s, %+v", again.Service, again.Cost)
	}
}
