package simulation

import (
	"fmt"
	"net/netip"
	"time"

	"sonde/daemon/internal/event"
)

// step is the time between two scripts; with 18 hosts each rests for 27 hours.
const step = 90 * time.Minute

// changes are what must be told.
func (p *play) changes() {
	scripts := []func(at time.Duration, n, serial int){
		p.upgrade, p.swap, p.renew, p.replace, p.stopAndStart, p.opens, p.portMoves, p.hostGoes, p.renumber,
	}
	last := time.Duration(p.days)*day - 14*time.Hour
	k := 0
	for at := day; at < last; at += step {
		// A host's turn comes with each script once.
		scripts[(k+k/18)%len(scripts)](at+time.Duration(p.w.rng.IntN(60))*time.Minute, 11+k%18, k)
		k++
	}
	// One more member of a pool. As the others end each confirmation, it is told
	// when it was met three times in a row, or often enough.
	p.change(day+9*time.Hour, func() {
		s := p.w.hosts[addrOf(1)].ports[2]
		s.faces = append(s.faces, face{service: "http", product: "Apache httpd", version: "2.4.59"})
	}, want{within: 6 * day, action: event.ServiceChanged, addr: addrOf(1), port: 2, holds: isKind(event.KindVersion)})
}

func (p *play) upgrade(at time.Duration, n, serial int) {
	p.change(at, func() { p.host(n).ports[1].faces[0].version = version("9", serial) },
		want{action: event.ServiceChanged, addr: addrOf(n), port: 1, holds: isKind(event.KindVersion)})
}

func (p *play) swap(at time.Duration, n, serial int) {
	p.change(at, func() {
		f := &p.host(n).ports[2].faces[0]
		f.product, f.version = "Product "+version("", serial), version("1", serial)
	}, want{action: event.ServiceChanged, addr: addrOf(n), port: 2, holds: isKind(event.KindProduct)})
}

func (p *play) renew(at time.Duration, n, serial int) {
	p.change(at, func() {
		f := &p.host(n).ports[3].faces[0]
		next := *f.cert
		next.SHA256 = cert(2000+serial, "x", "x").SHA256
		f.cert = &next
	}, want{action: event.CertificateRenewed, addr: addrOf(n), port: 3})
}

func (p *play) replace(at time.Duration, n, serial int) {
	p.change(at, func() {
		p.host(n).ports[3].faces[0].cert = cert(3000+serial, "CA 2", "www.example.org", version("n", serial))
	},
		want{action: event.CertificateChanged, addr: addrOf(n), port: 3})
}

func (p *play) stopAndStart(at time.Duration, n, _ int) {
	var was *service
	p.change(at, func() { was = p.host(n).ports[1]; delete(p.host(n).ports, 1) },
		want{action: event.ServiceGone, addr: addrOf(n), port: 1})
	p.change(at+8*time.Hour, func() { p.host(n).ports[1] = was },
		want{action: event.ServiceReturned, addr: addrOf(n), port: 1})
}

func (p *play) opens(at time.Duration, n, serial int) {
	port := uint16(30 + serial/18) // never one that was open before
	p.change(at, func() { p.host(n).ports[port] = web("Jetty", version("11", serial)) },
		want{action: event.ServiceNew, addr: addrOf(n), port: port})
}

func (p *play) portMoves(at time.Duration, n, serial int) {
	to := uint16(19 - serial/18/9) // another one each time
	move := func(from, to uint16) func() {
		return func() { p.host(n).ports[to] = p.host(n).ports[from]; delete(p.host(n).ports, from) }
	}
	p.change(at, move(2, to), want{action: event.ServiceGone, addr: addrOf(n), port: 2},
		want{action: event.ServiceNew, addr: addrOf(n), port: to})
	p.change(at+8*time.Hour, move(to, 2), want{action: event.ServiceGone, addr: addrOf(n), port: to},
		want{action: event.ServiceReturned, addr: addrOf(n), port: 2})
}

func (p *play) hostGoes(at time.Duration, n, _ int) {
	p.change(at, func() { p.host(n).off = true }, want{action: event.HostGone, addr: addrOf(n)})
	p.change(at+8*time.Hour, func() { p.host(n).off = false }, want{action: event.HostReturned, addr: addrOf(n)})
}

// renumber gives a host another address, and takes it back.
func (p *play) renumber(at time.Duration, n, _ int) {
	move := func(from, to netip.Addr) func() {
		return func() { p.w.hosts[to] = p.w.hosts[from]; delete(p.w.hosts, from) }
	}
	p.change(at, move(addrOf(n), addrOf(n+40)), want{action: event.HostMoved, addr: addrOf(n + 40)})
	p.change(at+8*time.Hour, move(addrOf(n+40), addrOf(n)), want{action: event.HostMoved, addr: addrOf(n)})
}

func version(major string, serial int) string { return fmt.Sprintf("%s.%d", major, serial) }

func (p *play) host(n int) *host { return p.w.hosts[addrOf(n)] }
