package capture

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

func TestElsewhere(t *testing.T) {
	for datagram, want := range map[string]bool{
		"\x00\x05\x00\x01File not found\x00": true,
		"\x00\x05\x00\x00\x00":               true,
		"\x00\x03\x00\x01data":               true,
		"\x00\x03\x00\x01":                   true,
		"\x00\x06blksize\x00512\x00":         true,
		"\x00\x05\x00\x09text\x00":           false, // no such code
		"\x00\x05\x00\x01text":               false, // no end
		"\x00\x03\x00\x02data":               false, // not the first block
		"\x00\x04\x00\x00":                   false, // of a request to write
		"\x00\x01name\x00octet\x00":          false, // a request
		"\x00\x06x":                          false,
		"\x01\x05\x00\x01text\x00":           false,
		"":                                   false,
		"hello":                              false,
	} {
		if port, ok := Elsewhere([]byte(datagram)); ok != want || ok && port != portTFTP {
			t.Errorf("%q answers port %d: %v, want %v", datagram, port, ok, want)
		}
	}
}

// A server that answers from a port of its own is heard where such answers are
// waited for, and the port itself is what is told.
func TestAnswerFromAnotherPort(t *testing.T) {
	for _, a := range loopbacks(t) {
		ask := socket(t, a)
		reply := socket(t, a)
		var done sync.WaitGroup
		done.Go(func() {
			buf := make([]byte, 100)
			for {
				n, from, err := ask.ReadFromUDPAddrPort(buf)
				if err != nil {
					return
				}
				if string(buf[:n]) == "file?" {
					reply.WriteToUDPAddrPort([]byte("noise"), from)
					reply.WriteToUDPAddrPort([]byte("\x00\x05\x00\x01no\x00"), from)
				}
			}
		})
		to := netip.AddrPortFrom(a, ask.LocalAddr().(*net.UDPAddr).AddrPort().Port())
		p := &prober{sweep: &sweep{Config: Config{Timeout: 5 * time.Second}}}
		r, err := p.elsewhere(t.Context(), to, []byte("file?"))
		if err != nil || r.Kind != Answered || string(r.Payload) != "\x00\x05\x00\x01no\x00" {
			t.Errorf("%s: %+v, %v", to, r, err)
		}
		ask.Close()
		done.Wait()
	}
}

func socket(t *testing.T, a netip.Addr) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
