package sensor

import (
	"net/netip"
	"testing"
	"time"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// TestVisitTellsItsSurroundings: how the target was reached, and how many of its
// host wait; what another visit made doubtful is due, inside the scope.
func TestVisitTellsItsSurroundings(t *testing.T) {
	w := newWorld(t)
	cfg := configOf(w, newStore(w))
	cfg.Watches[0].Target = func(netip.Addr) Reach { return Reach{"eth0", "02:00:00:00:00:01", 10} }
	s := New(cfg)
	watch := s.watches[cfg.Watches[0].Name]
	key := func(port uint16) event.Key {
		return event.Key{Zone: watch.Zone, Addr: netip.MustParseAddr("127.0.0.1"), Transport: probes.TCP, Port: port}
	}
	f := &flight{key: key(1), watch: watch, seen: &probes.Observation{}}
	if !s.visitOf(f, nil).Late {
		t.Error("no sweep was ever complete, and the watch is not late")
	}
	if v := s.visitOf(f, s.crowds()); v.Way != "eth0" || v.MAC != "02:00:00:00:00:01" || v.VLAN != 10 || v.Crowd != 0 {
		t.Errorf("reached by %q of %q, crowd %d", v.Way, v.MAC, v.Crowd)
	}
	began := func(ago time.Duration) { s.last[sweepID(watch, &watch.Sweeps[0])] = s.now().Add(-ago) }
	for _, c := range []struct {
		ago  time.Duration
		want bool
	}{{watch.discoverEvery(), false}, {2*watch.discoverEvery() + time.Minute, true}} {
		if began(c.ago); s.visitOf(f, nil).Late != c.want {
			t.Errorf("the last sweep began %v ago: late is %t", c.ago, !c.want)
		}
	}
	for port := range uint16(20) {
		s.owed[key(2+port)] = &debt{}
	}
	elsewhere := key(1)
	elsewhere.Addr = netip.MustParseAddr("127.0.0.2")
	s.owed[elsewhere] = &debt{}
	v := s.visitOf(f, s.crowds())
	if v.Crowd != 20 {
		t.Errorf("crowd %d, want 20", v.Crowd)
	}
	outside := key(1)
	outside.Addr = netip.MustParseAddr("192.0.2.1")
	watch.Contains = func(a netip.Addr, _ probes.Transport, _ uint16) bool { return a.IsLoopback() }
	before := s.queue.Len()
	s.doubt(&v, []event.Key{key(7), outside})
	if n := s.queue.Len() - before; n != 1 {
		t.Errorf("%d visits are due, want 1", n)
	}
}
