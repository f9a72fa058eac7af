//go:build integration

package probebench

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// A rudeDatagram server does to each datagram what serve says.
type rudeDatagram struct {
	name  string
	port  uint16
	serve func(c *net.UDPConn, from netip.AddrPort, datagram []byte)
}

func rudeDatagrams() []rudeDatagram {
	big := make([]byte, 60<<10)
	return []rudeDatagram{
		{"datagrams: echo", 4711, func(c *net.UDPConn, from netip.AddrPort, b []byte) {
			_, _ = c.WriteToUDPAddrPort(b, from)
		}},
		{"datagrams: empty answers", 53, func(c *net.UDPConn, from netip.AddrPort, _ []byte) {
			_, _ = c.WriteToUDPAddrPort(nil, from)
		}},
		{"datagrams: a thousand big answers", 161, func(c *net.UDPConn, from netip.AddrPort, _ []byte) {
			for range 1000 {
				_, _ = c.WriteToUDPAddrPort(big, from)
			}
		}},
		{"datagrams: an answer each second", 123, func(c *net.UDPConn, from netip.AddrPort, _ []byte) {
			go func() {
				for range 30 {
					if _, err := c.WriteToUDPAddrPort([]byte{0}, from); err != nil {
						return
					}
					time.Sleep(time.Second) // the pace is the purpose
				}
			}()
		}},
		{"datagrams: silence", 4711, func(*net.UDPConn, netip.AddrPort, []byte) {}},
		{"datagrams: answers from other ports", 69, func(_ *net.UDPConn, from netip.AddrPort, b []byte) {
			for range 20 {
				if c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(from)); err == nil {
					_, _ = c.Write(b)
					c.Close()
				}
			}
		}},
	}
}

func serveDatagrams(t *testing.T, at netip.AddrPort, serve func(*net.UDPConn, netip.AddrPort, []byte)) {
	t.Helper()
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			serve(c, from, buf[:n])
		}
	}()
}
