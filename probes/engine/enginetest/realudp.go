package enginetest

import (
	"net"
	"net/netip"
	"sync"
	"testing"
)

// serveUDP makes a real UDP peer.
func serveUDP(t *testing.T, host netip.Addr, does Behaviour) netip.AddrPort {
	t.Helper()
	c := packetSocket(t, host)
	at := addrOf(c.LocalAddr())
	if does == Refuses {
		_ = c.Close()
		return at
	}
	other := c
	switch does {
	case OtherPort:
		other = packetSocket(t, host)
	case OtherHost:
		other = packetSocket(t, otherHost(at).Addr())
	}
	var work sync.WaitGroup
	work.Go(func() { answer(c, other, does) })
	t.Cleanup(func() {
		_ = c.Close()
		work.Wait()
	})
	return at
}

func packetSocket(t *testing.T, host netip.Addr) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(host, 0)))
	if err != nil {
		t.Skipf("skipped: no UDP socket on %s: %v", host, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// answer answers each datagram as the peer is for, until its socket is closed.
func answer(c, other *net.UDPConn, does Behaviour) {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		switch does {
		case Echoes:
			_, _ = c.WriteToUDPAddrPort(buf[:n], from)
		case EmptyAnswer:
			_, _ = c.WriteToUDPAddrPort(nil, from)
		case OtherPort:
			_, _ = other.WriteToUDPAddrPort(buf[:n], from)
		case OtherHost:
			_, _ = other.WriteToUDPAddrPort([]byte("not me"), from)
			_, _ = c.WriteToUDPAddrPort(buf[:n], from)
		}
	}
}

// otherPort is another port of a host.
func otherPort(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr(), a.Port()+1000)
}

// otherHost is the same port of another host.
func otherHost(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Next(), a.Port())
}
