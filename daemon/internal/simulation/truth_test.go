package simulation

import (
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

const day = 24 * time.Hour

// weeks is how long is simulated without SONDE_WEEKS, at half a minute each.
const weeks = 1

// TestTruth: in simulated weeks of a network of 36 hosts, six of which say what
// real servers were recorded to say, with the noise that sites have, each true
// change is told once, and nothing else is.
func TestTruth(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	long := weeks
	if s := os.Getenv("SONDE_WEEKS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("SONDE_WEEKS=%s: write a number", s)
		}
		long = n
	}
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		p := &play{ledger: ledger{t: t, begun: time.Now()}, w: newWorld(), dir: dir, ports: 80, days: 7 * long}
		p.w.recorded = record(t)
		p.populate()
		p.w.recorded.populate(p)
		p.noises()
		p.changes()
		p.w.recorded.changes(p)
		p.run(time.Duration(p.days)*day + 12*time.Hour)
		s := p.judge()
		t.Logf("simulation: days=%d visits=%d lost=%d restarts=%d changes=%d told=%d missed=%d doubled=%d false=%d silenced=%d",
			p.days, p.w.visits, p.w.lost, p.restarts, s.changes, s.told, s.missed, s.doubled, s.wrong, s.silenced)
		t.Logf("events by action: %v", s.byAction)
		if s.changes < 20*p.days {
			t.Errorf("only %d true changes", s.changes)
		}
	})
}

func ssh(version string) *service {
	return &service{faces: []face{{service: "ssh", product: "OpenSSH", version: version}}}
}

func web(product, version string) *service {
	return &service{faces: []face{{service: "http", product: product, version: version}}}
}

func tls(serial int) *service {
	return &service{faces: []face{{service: "http", product: "nginx", version: "1.24.0", cert: cert(serial, "CA 1", "www.example.org")}}}
}

// populate makes 30 hosts with three services each.
func (p *play) populate() {
	for n := 1; n <= 30; n++ {
		p.w.add(addrOf(n), map[uint16]*service{1: ssh("9.2p1"), 2: web("Apache httpd", "2.4.57"), 3: tls(n)})
	}
	at := func(n int, port uint16) *service { return p.w.hosts[addrOf(n)].ports[port] }
	at(1, 2).faces = append(at(1, 2).faces, face{service: "http", product: "Apache httpd", version: "2.4.58"})
	at(2, 3).faces = append(at(2, 3).faces, face{service: "http", product: "nginx", version: "1.24.0", cert: cert(1002, "CA 1", "www.example.org")})
	at(3, 1).full = 0.1                                                                             // MaxStartups
	p.w.hosts[addrOf(10)].ports[4] = &service{faces: []face{{service: "x", strength: probes.Soft}}} // not known to the first database
	for n := 11; n <= 20; n++ {
		p.w.hosts[addrOf(n)].ports[84] = ssh("8.4p1") // outside of the ports watched at first
	}
}

// noises are what must not be told.
func (p *play) noises() {
	h := func(n int) *host { return p.w.hosts[addrOf(n)] }
	// The other member of each pool is told once, when it is met.
	p.change(0, func() {}, want{within: day, action: event.ServiceChanged, addr: addrOf(1), port: 2},
		want{within: 7 * day, action: event.CertificateRenewed, addr: addrOf(2), port: 3})
	for _, when := range []time.Duration{2*day + 11*time.Hour, 5*day + 11*time.Hour} { // DHCP
		p.change(when, func() {
			p.w.hosts[addrOf(8)], p.w.hosts[addrOf(9)] = p.w.hosts[addrOf(9)], p.w.hosts[addrOf(8)]
		}, want{action: event.HostMoved, addr: addrOf(8)}, want{action: event.HostMoved, addr: addrOf(9)})
	}
	for d := 1; d < p.days; d++ {
		from := time.Duration(d) * day
		p.noise(from+1*time.Hour, func() { h(4).banned = true })
		p.noise(from+7*time.Hour, func() { h(4).banned = false })
		p.noise(from+8*time.Hour, func() { h(5).ports[2].full = 1 }) // "host blocked"
		p.noise(from+20*time.Hour, func() { h(5).ports[2].full = 0 })
		p.noise(from+9*time.Hour, func() { h(6).ports[2].passes = unavailable })
		p.noise(from+9*time.Hour+10*time.Minute, func() { h(6).ports[2].passes = nil })
		p.noise(from+5*time.Hour+17*time.Minute, func() { p.power(false) })
		p.noise(from+5*time.Hour+20*time.Minute, func() { p.power(true) })
		p.noise(from+13*time.Hour+30*time.Minute, func() { p.w.cut = true })
		p.noise(from+13*time.Hour+40*time.Minute, func() { p.w.cut = false })
		if d%3 == 0 {
			p.noise(from+15*time.Hour, func() { h(7).proxy = true })
			p.noise(from+18*time.Hour, func() { h(7).proxy = false })
		}
		if d%4 == 0 {
			p.noise(from+19*time.Hour, func() { p.paused = true })
			p.noise(from+22*time.Hour, func() { p.paused = false })
		}
		ports, database := uint16(80), "database-1"
		if d >= 5 {
			ports = 90 // the list is widened
		}
		if d >= 6 {
			database = "database-2" // which knows one more
		}
		p.restart(from+time.Duration(d%24)*time.Hour+7*time.Minute, time.Duration(1+5*(d%10))*time.Minute, func() {
			p.ports, p.w.database = ports, database
			if d == 6 {
				h(10).ports[4].faces[0] = face{service: "amqp", product: "RabbitMQ", version: "3.12.1"}
			}
		})
	}
}

// power switches all hosts off or on that are not off for another reason.
func (p *play) power(on bool) { p.w.dark = !on }

// unavailable is what a proxy says while the server behind it restarts.
func unavailable(o probes.Observation) probes.Observation {
	o.Product, o.Version = "", ""
	o.Strength = probes.Soft
	return o
}
