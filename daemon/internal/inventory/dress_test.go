package inventory

import (
	"testing"
	"time"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// TestDressAndClock: what the configuration adds is in the committed event, and
// while the clock is not synced no certificate is judged by it.
func TestDressAndClock(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	state := event.Unsynced
	s.state = func() event.Clock { return state }
	s.SetDress(func(ev *event.Event) { ev.Owner, ev.Severity = "web", event.Notice })
	v := visitOf("192.0.2.1", 443, c.now(), "nginx", "1.24")
	v.Observation.TLS = certificateUntil(c.now().Add(-time.Hour))
	mustApply(t, s, v)
	v.At = c.add(time.Hour)
	state = event.Synced
	mustApply(t, s, v)
	events := wantActions(t, s.Reader, "service.baseline", "certificate.expired")
	for i, want := range []event.Clock{event.Unsynced, event.Synced} {
		if e := &events[i]; e.Clock != want || e.Owner != "web" || e.Severity != event.Notice {
			t.Errorf("%s: clock %q, owner %q, severity %s", e.Action, e.Clock, e.Owner, e.Severity)
		}
	}
}

// TestDoubtedEndpoints: when a machine may have moved, its endpoints at the old
// address are due, and when it has, those at the new one.
func TestDoubtedEndpoints(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	visit := func(addr string, port uint16, mac string) Standing {
		t.Helper()
		v := visitOf(addr, port, c.add(10*time.Second), "OpenSSH", "9.2")
		v.MAC = mac
		if mac == "" {
			v = refusal(v, v.At)
			v.Observation.Outcome, v.Observation.State = "silent", "filtered"
		}
		return mustApply(t, s, v)[0]
	}
	visit("192.0.2.1", 22, "M1")
	visit("192.0.2.1", 80, "M1")
	if got := visit("192.0.2.7", 22, "M1").Also; len(got) != 2 || got[0].Addr.String() != "192.0.2.1" {
		t.Errorf("due when it may have moved: %v", got)
	}
	visit("192.0.2.1", 22, "")
	visit("192.0.2.1", 80, "")
	if got := visit("192.0.2.7", 22, "M1").Also; len(got) != 2 || got[0].Addr.String() != "192.0.2.7" {
		t.Errorf("due when it has moved: %v", got)
	}
	if got := visit("192.0.2.7", 22, "M1").Also; len(got) != 0 {
		t.Errorf("due later on: %v", got)
	}
}

func certificateUntil(end time.Time) []probes.TLSFacts {
	return []probes.TLSFacts{{Certificate: &probes.Certificate{Subject: "CN=x", Issuer: "CN=ca", SHA256: "aa", NotAfter: end}}}
}
