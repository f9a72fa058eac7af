package inventory

import (
	"fmt"
	"testing"
	"time"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// showKey applies a visit to port 22 that read a host key, or none.
func showKey(t *testing.T, s *Store, c *testClock, addr, key string) {
	t.Helper()
	v := visitOf(addr, 22, c.add(time.Minute), "OpenSSH", "9.2p1")
	if key != "" {
		v.Observation.SSHHostKey = &probes.SSHHostKey{Type: "ssh-ed25519", SHA256: key}
	}
	mustApply(t, s, v)
}

func keyRows(t *testing.T, s *Store) (all, shared int) {
	t.Helper()
	if err := s.conn.QueryRowContext(t.Context(), `select count(*), coalesce(sum(shared), 0) from host_keys`).
		Scan(&all, &shared); err != nil {
		t.Fatal(err)
	}
	return all, shared
}

// TestSharedKeyStaysSo: it names no machine even when all but one of those that
// had it are forgotten.
func TestSharedKeyStaysSo(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	showKey(t, s, c, "192.0.2.1", "aaaa")
	showKey(t, s, c, "192.0.2.2", "aaaa")
	if all, shared := keyRows(t, s); all != 2 || shared != 0 {
		t.Errorf("%d keys, %d shared, at the first sight of it elsewhere", all, shared)
	}
	showKey(t, s, c, "192.0.2.1", "aaaa")
	if all, shared := keyRows(t, s); all != 2 || shared != 2 {
		t.Errorf("%d keys, %d shared", all, shared)
	}
	if _, err := s.conn.ExecContext(t.Context(), `delete from endpoints where addr = '192.0.2.2'`); err != nil {
		t.Fatal(err)
	}
	showKey(t, s, c, "192.0.2.3", "aaaa")
	if all, shared := keyRows(t, s); all != 2 || shared != 2 {
		t.Errorf("%d keys, %d shared, at a new address", all, shared)
	}
}

// TestEverOtherKeys: a server that shows another key each time fills nothing.
func TestEverOtherKeys(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	for i := range 3 * MaxIdentities {
		showKey(t, s, c, "192.0.2.1", fmt.Sprint("key", i))
	}
	if all, _ := keyRows(t, s); all != MaxIdentities {
		t.Errorf("%d keys are kept, want %d", all, MaxIdentities)
	}
}

// TestKeysMoveAlong: what moved is known by its key at the new address, and can
// move again, and back.
func TestKeysMoveAlong(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	way := []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1"}
	showKey(t, s, c, way[0], "aaaa")
	for i, to := range way[1:] {
		if err := s.PassDone(t.Context(), lanPass(c.add(time.Minute))); err != nil {
			t.Fatal(err)
		}
		c.add(time.Hour)
		showKey(t, s, c, to, "aaaa")
		for range 2 {
			v := visitOf(way[i], 22, c.add(time.Minute), "", "")
			v.Observation = probes.Observation{Outcome: probes.OutcomeSilent}
			mustApply(t, s, v)
		}
		showKey(t, s, c, to, "")
	}
	var moves []string
	for _, e := range allEvents(t, s.Reader) {
		switch e.Action {
		case event.ServiceBaseline, event.WatchBaselined:
		case event.HostMoved:
			moves = append(moves, fmt.Sprint(e.Action, " ", e.Previous.Addr, " ", e.Endpoint.Addr))
		default:
			moves = append(moves, e.Message)
		}
	}
	want := "[host.moved 192.0.2.1 192.0.2.2 host.moved 192.0.2.2 192.0.2.3 host.moved 192.0.2.3 192.0.2.1]"
	if got := fmt.Sprint(moves); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
