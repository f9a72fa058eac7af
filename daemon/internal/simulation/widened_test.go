package simulation

import (
	"testing"
	"testing/synctest"
	"time"

	"sonde/daemon/internal/event"
)

// TestWidenedBehindSYNProxy: a host takes connections on every port while more
// ports come under watch, so that their first look is of the proxy. Nothing of
// it is told when it ends, but a service that was there all along is known.
func TestWidenedBehindSYNProxy(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p := &play{ledger: ledger{t: t, begun: time.Now()}, w: newWorld(), dir: dir, ports: 70}
		for n := 1; n <= 12; n++ {
			p.w.add(addrOf(n), map[uint16]*service{1: ssh("9.2p1")})
		}
		h := p.w.hosts[addrOf(7)]
		h.ports[75] = web("nginx", "1.24.0")
		p.noise(5*time.Hour, func() { h.proxy = true })
		p.restart(5*time.Hour+time.Minute, time.Minute, func() { p.ports = 80 })
		p.noise(8*time.Hour, func() { h.proxy = false })
		p.change(30*time.Hour, func() { delete(h.ports, 75) },
			want{action: event.ServiceGone, addr: addrOf(7), port: 75})
		p.run(48 * time.Hour)
		p.judge()
	})
}
