//go:build lab && linux

package simulation

import (
	"fmt"
	"syscall"
	"time"

	"sonde/daemon/internal/event"
)

// Our boxes, by what they are for.
const (
	boxPool = iota + 1
	boxCertificates
	boxStartups
	boxBans
	boxMySQL
	boxProxied
	boxAnswersAll
	boxSwapA
	boxSwapB
	boxUnknown
	boxUpgraded
	boxSwapped
	boxRenewed
	boxReplaced
	boxStopped
	boxOpens
	boxMoves
	boxGoes
	boxRenumbered
)

// populate makes our boxes as they are at first.
func (c *campaign) populate() {
	for n := boxPool; n <= boxRenumbered; n++ {
		c.g.box(n).serve(22, sshd(fmt.Sprintf("8.%dp1", n)))
	}
	b := c.g.boxes
	b[boxPool].serve(80, oneOf(httpd("200 OK", "Apache/2.4.57 (Debian)"), httpd("200 OK", "Apache/2.4.58 (Debian)")))
	one, two := c.ca.sign(c.t, "pool.example"), c.ca.sign(c.t, "pool.example")
	page := httpd("200 OK", "nginx/1.24.0")
	b[boxCertificates].serve(443, oneOf(inTLS(one, page), inTLS(two, page)))
	b[boxStartups].serve(22, oneOf(turnsAway, greets("Exceeded MaxStartups\r\n"), sshd("9.0p1"), sshd("9.0p1"), sshd("9.0p1")))
	b[boxMySQL].serve(3306, mysqld("5.7.40"))
	for _, n := range []int{boxProxied, boxSwapA, boxSwapB, boxSwapped, boxMoves} {
		b[n].serve(80, httpd("200 OK", fmt.Sprintf("nginx/1.%d.0", n)))
	}
	b[boxUnknown].serve(81, greets("HERON ready 7\r\n"))
	b[boxRenewed].serve(443, inTLS(c.ca.sign(c.t, "renewed.example"), page))
	b[boxReplaced].serve(443, inTLS(c.ca.sign(c.t, "replaced.example"), page))
	b[boxPool].serve(8080, sshd("7.9p1")) // outside of the ports that are watched at first
	// The other member of each pool is told when it is met, and never again.
	day := 24 * time.Hour
	c.expect(0, want{within: day, may: true, action: event.ServiceChanged, addr: at(boxPool), port: 80},
		want{within: day, may: true, action: event.CertificateRenewed, addr: at(boxCertificates), port: 443})
}

// play changes all that changes in a round, and makes all noise meanwhile.
func (c *campaign) play() {
	c.changes()
	b := c.g.boxes
	noises := []struct {
		name    string
		lasts   time.Duration // a thirtieth of what it may at a site
		on, off func()
	}{
		{"our address is banned", 12 * time.Second, func() {
			b[boxBans].rules("chain in { type filter hook input priority 0",
				"ip saddr "+sensor4+" drop", "}")
		}, func() { b[boxBans].rules() }},
		{"host blocked", 12 * time.Second, func() { b[boxMySQL].serve(3306, hostBlocked) },
			func() { b[boxMySQL].serve(3306, mysqld("5.7.40")) }},
		{"503 of a proxy", 20 * time.Second, func() { b[boxProxied].serve(80, httpd("503 Service Unavailable", "")) },
			func() { b[boxProxied].serve(80, httpd("200 OK", fmt.Sprintf("nginx/1.%d.0", boxProxied))) }},
		{"a SYN proxy", 30 * time.Second, c.answersAll, func() { b[boxAnswersAll].rules() }},
		{"router loss", 20 * time.Second, func() { c.g.cut(true) }, func() { c.g.cut(false) }},
		{"reboot of all our boxes", 6 * time.Second, func() { c.powerAll(false) }, func() { c.powerAll(true) }},
		{"a paused sensor", 15 * time.Second, func() { c.d.order("pause") }, func() { c.d.order("resume") }},
	}
	for i := range noises { // one after the other, another first each time
		n := &noises[(i+c.nth)%len(noises)]
		c.t.Logf("%v: %s", c.now(), n.name)
		n.on()
		time.Sleep(n.lasts)
		n.off()
		c.follow()
	}
	c.swapAddresses()
	if c.nth >= 2 {
		c.unproven = false
	}
	c.configure() // more ports, and then another database
	c.d.again(syscall.SIGTERM)
}

// answersAll has a host take connections at each port, and close them.
func (c *campaign) answersAll() {
	b := c.g.boxes[boxAnswersAll]
	if c.nth == 1 {
		b.serve(9, turnsAway)
	}
	b.rules("chain in { type nat hook prerouting priority -100", "tcp dport != 22 redirect to :9", "}")
}

// powerAll switches our boxes off, or on, when they refuse all for a moment.
func (c *campaign) powerAll(on bool) {
	for n, b := range c.g.boxes {
		if n == boxGoes {
			continue // is off for a reason of its own, or on
		}
		if on {
			b.rules("chain in { type filter hook input priority 0", "tcp flags syn reject with tcp reset", "}")
		}
		b.power(on)
	}
	if !on {
		return
	}
	time.Sleep(2 * time.Second)
	for n, b := range c.g.boxes {
		if n != boxGoes {
			b.rules()
		}
	}
}

// swapAddresses gives each of two hosts the other's address, as DHCP may.
func (c *campaign) swapAddresses() {
	x, y := at(boxSwapA), at(boxSwapB)
	if c.nth%2 == 0 {
		x, y = y, x
	}
	spare := at(60)
	c.change(func() {
		c.g.boxes[boxSwapA].readdress(x, spare)
		c.g.boxes[boxSwapB].readdress(y, x)
		c.g.boxes[boxSwapA].readdress(spare, y)
	}, want{action: event.HostMoved, addr: x}, want{action: event.HostMoved, addr: y})
}

// changes are what must be told.
func (c *campaign) changes() {
	b, n := c.g.boxes, c.nth
	c.change(func() { b[boxUpgraded].serve(22, sshd(fmt.Sprintf("9.%dp1", n))) },
		want{action: event.ServiceChanged, addr: at(boxUpgraded), port: 22, holds: isKind(event.KindVersion)})
	product := []string{"Apache/2.4.5%d (Debian)", "lighttpd/1.4.5%d", "nginx/1.2%d.1"}[n%3]
	c.change(func() { b[boxSwapped].serve(80, httpd("200 OK", fmt.Sprintf(product, n%10))) },
		want{action: event.ServiceChanged, addr: at(boxSwapped), port: 80, holds: isKind(event.KindProduct)})
	page := httpd("200 OK", "nginx/1.24.0")
	c.change(func() { b[boxRenewed].serve(443, inTLS(c.ca.sign(c.t, "renewed.example"), page)) },
		want{action: event.CertificateRenewed, addr: at(boxRenewed), port: 443, holds: another})
	c.change(func() {
		b[boxReplaced].serve(443, inTLS(newAuthority(c.t, fmt.Sprint("CA of round ", n)).sign(c.t, "replaced.example"), page))
	},
		want{action: event.CertificateChanged, addr: at(boxReplaced), port: 443, holds: another})
	c.change(func() { b[boxOpens].serve(uint16(30+n), sshd("9.9p1")) },
		want{action: event.ServiceNew, addr: at(boxOpens), port: uint16(30 + n), holds: absent})
	if n%2 == 1 {
		c.change(func() { c.was["stopped"] = b[boxStopped].stop(22) },
			want{action: event.ServiceGone, addr: at(boxStopped), port: 22, holds: because("closed")})
		c.change(func() { b[boxGoes].power(false) }, want{action: event.HostGone, addr: at(boxGoes)})
	} else {
		c.change(func() { b[boxStopped].serve(22, c.was["stopped"]) },
			want{action: event.ServiceReturned, addr: at(boxStopped), port: 22})
		c.change(func() { b[boxGoes].power(true) }, want{action: event.HostReturned, addr: at(boxGoes)})
	}
	from, to := uint16(79+n), uint16(80+n)
	c.change(func() { b[boxMoves].serve(to, b[boxMoves].stop(from)) },
		want{action: event.ServiceGone, addr: at(boxMoves), port: from, holds: because("closed")},
		want{action: event.ServiceNew, addr: at(boxMoves), port: to, holds: absent})
	here, there := at(boxRenumbered+20+n), at(boxRenumbered+21+n)
	if n == 1 {
		here = at(boxRenumbered)
	}
	c.change(func() { b[boxRenumbered].readdress(here, there) },
		want{action: event.HostMoved, addr: there, holds: func(e *event.Event) bool {
			return e.Previous != nil && e.Previous.Addr == here
		}})
}

// another says that the certificate of before is told with the one of now.
func another(e *event.Event) bool {
	return e.Cause == event.CauseTarget && e.Previous != nil && len(e.Previous.TLS) > 0 && len(e.Endpoint.TLS) > 0 &&
		e.Previous.TLS[0].Certificate.SHA256 != e.Endpoint.TLS[0].Certificate.SHA256
}

// absent says that an earlier sweep is named, and who answered.
func absent(e *event.Event) bool {
	return e.Cause == event.CauseTarget && !e.AbsentAt.IsZero() && e.Confirmations >= 2 && e.Evidence != nil
}

func because(reason string) func(*event.Event) bool {
	return func(e *event.Event) bool { return e.Reason == reason && e.Endpoint.Product != "" }
}
