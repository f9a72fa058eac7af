package inventory

import (
	"testing"
	"time"
)

// TestMoveOfWhichNothingMoreIsSeen: a machine that seems to have moved, and of
// which the next visit shows no MAC address.
func TestMoveOfWhichNothingMoreIsSeen(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	const mac = "02:00:00:00:00:01"
	for _, at := range []struct{ addr, mac string }{
		{"192.0.2.1", mac}, {"192.0.2.2", mac}, {"192.0.2.2", ""}, {"192.0.2.2", "02:00:00:00:00:02"},
	} {
		v := visitOf(at.addr, 22, c.add(time.Minute), "OpenSSH", "9.2p1")
		v.MAC = at.mac
		mustApply(t, s, v)
	}
}
