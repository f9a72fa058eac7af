package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"
)

// A greeter is a TCP service that says one thing to everybody, and can start,
// change and stop. It is a real listener on a loopback address.
type greeter struct {
	t  testing.TB
	at netip.AddrPort

	mu    sync.Mutex
	l     net.Listener
	greet func(n int) (parts []string, pause time.Duration)
	conns int // accepted so far
	wg    sync.WaitGroup
}

func newGreeter(t testing.TB, at netip.AddrPort) *greeter {
	g := &greeter{t: t, at: at}
	t.Cleanup(g.stop)
	return g
}

// ssh is the greeting of an OpenSSH of that version.
func ssh(version string) string { return "SSH-2.0-OpenSSH_" + version + "\r\n" }

// say makes it greet with s, beginning with the next connection, and starts it
// if it is stopped.
func (g *greeter) say(s string) {
	g.sayParts(func(int) ([]string, time.Duration) { return []string{s}, 0 })
}

// sayParts makes the greeting depend on the number of the connection; between
// its parts lies a pause. Without parts the connection is closed at once.
func (g *greeter) sayParts(greet func(n int) ([]string, time.Duration)) {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.greet = greet
	if g.l != nil {
		return
	}
	var err error
	if g.l, err = net.Listen("tcp", g.at.String()); err != nil {
		g.t.Fatal(err)
	}
	g.wg.Go(func() { g.serve(g.l) })
}

func (g *greeter) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		g.mu.Lock()
		parts, pause := g.greet(g.conns)
		g.conns++
		g.mu.Unlock()
		g.wg.Go(func() {
			defer c.Close()
			if parts == nil {
				return // a bare close
			}
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			for i, p := range parts {
				if i > 0 {
					time.Sleep(pause) // the slowness of this service is what is tested
				}
				if _, err := c.Write([]byte(p)); err != nil {
					return
				}
			}
			_, _ = c.Read(make([]byte, 512)) // until the client has enough
		})
	}
}

// stop closes the port and waits until its connections are gone.
func (g *greeter) stop() {
	g.mu.Lock()
	l := g.l
	g.l = nil
	g.mu.Unlock()
	if l != nil {
		l.Close()
	}
	g.wg.Wait()
}

// loopback gives addresses that no other test process uses: 127.A.B.n with A
// and B from the process id.
func loopback(n int) netip.Addr {
	pid := os.Getpid()
	return netip.MustParseAddr(fmt.Sprintf("127.%d.%d.%d", 80+pid%100, 1+pid/100%250, n))
}
