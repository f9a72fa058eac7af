//go:build linux

package sweep

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// freeRange finds a few ports in a row that nobody uses.
func freeRange(t *testing.T, n uint16) Range {
	t.Helper()
	for first := uint16(20_000); first < 30_000; first += n {
		h, err := holdPorts(Range{first, first + n - 1}, false)
		if err != nil {
			continue
		}
		held := len(h.ports)
		h.close()
		if held == int(n) {
			return Range{first, first + n - 1}
		}
	}
	t.Skip("skipped: no free ports in a row on this machine")
	return Range{}
}

// What is held nobody else gets; a SYN to it is refused, a datagram vanishes
// without a word. All that is on loopback.
func TestHold(t *testing.T) {
	r := freeRange(t, 4)
	h, err := holdPorts(r, false)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	if len(h.ports) != 4 {
		t.Fatalf("held %v", h.ports)
	}
	for _, port := range h.ports {
		for _, host := range []string{"127.0.0.1", "0.0.0.0"} {
			at := fmt.Sprintf("%s:%d", host, port)
			if l, err := net.Listen("tcp4", at); err == nil {
				l.Close()
				t.Errorf("tcp %s can be had", at)
			}
			if l, err := net.ListenPacket("udp4", at); err == nil {
				l.Close()
				t.Errorf("udp %s can be had", at)
			}
		}
	}
	at := fmt.Sprintf("127.0.0.1:%d", h.ports[0])
	if c, err := net.DialTimeout("tcp", at, time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a connect to a held port: %v, %v", c, err)
	}
	c, err := net.Dial("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a datagram to a held port: %v, want silence", err)
	}

	// The next one takes what is left, and fails when nothing is.
	if _, err := holdPorts(r, false); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("holding twice: %v", err)
	}
	h.close()
	h.close()
	again, err := holdPorts(r, false)
	if err != nil {
		t.Fatal(err)
	}
	again.close()
}

// TestMute: what is sent to the TCP of a mute port vanishes without a word.
func TestMute(t *testing.T) {
	h, err := holdPorts(freeRange(t, 1), true)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", host, h.ports[0]), 200*time.Millisecond)
		if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.ENETUNREACH) {
			continue // no IPv6 here
		}
		if late, ok := errors.AsType[net.Error](err); !ok || !late.Timeout() {
			t.Errorf("a connect to %s: %v, %v, want silence", host, c, err)
		}
	}
}
