package enginetest

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
)

func emptyDatagrams(t *testing.T, h *Harness) {
	to := h.Serve(t, "udp", v4, EmptyAnswer)
	var r Recorder
	h.Do(func() {
		r.Open(h.Loop, udp(to))
		r.Conn.Send(nil)
	})
	h.wait(t, "empty answer", func() bool { return r.Has("Received", 1) })
	h.Do(func() {
		if !r.Has("Sent", 1) || len(r.Sizes) != 1 || r.Sizes[0] != 0 {
			t.Errorf("told %v, sizes %v", &r, r.Sizes)
		}
	})
}

func answersFromOtherPort(t *testing.T, h *Harness) {
	to := h.Serve(t, "udp", v4, OtherPort)
	var r Recorder
	h.Do(func() {
		r.Open(h.Loop, udp(to))
		r.Conn.Send([]byte("hello"))
	})
	h.wait(t, "answer", func() bool { return r.Has("Received", 1) })
	h.Do(func() {
		if r.From[0].Addr() != to.Addr() || r.From[0] == to || string(r.Data) != "hello" {
			t.Errorf("asked %v, received %q of %v", to, r.Data, r.From)
		}
	})
}

func answersFromOtherHost(t *testing.T, h *Harness) {
	to := h.Serve(t, "udp", v4, OtherHost)
	var r Recorder
	h.Do(func() {
		r.Open(h.Loop, udp(to))
		r.Conn.Send([]byte("hello"))
	})
	h.wait(t, "answer", func() bool { return r.Has("Received", 1) })
	h.quiet(t)
	h.Do(func() {
		if string(r.Data) != "hello" || r.From[0] != to {
			t.Errorf("asked %v, received %q of %v", to, r.Data, r.From)
		}
	})
	if h.Stats != nil && h.Stats().Foreign != 1 {
		t.Errorf("foreign datagrams: %d, want 1", h.Stats().Foreign)
	}
}

// rejected: each datagram draws an ICMP error, and none of them fails a send
// or ends the socket.
func rejected(t *testing.T, h *Harness, host netip.Addr) {
	to := h.Serve(t, "udp", host, Refuses)
	var r Recorder
	h.Do(func() {
		r.Open(h.Loop, udp(to))
		r.Conn.Send([]byte("one"))
		r.Conn.Send([]byte("two"))
	})
	h.wait(t, "two rejections", func() bool { return len(r.Rejects) >= 2 && r.Has("Sent", 2) })
	h.Do(func() { r.Conn.Send([]byte("three")) })
	h.wait(t, "third rejection", func() bool { return len(r.Rejects) >= 3 && r.Has("Sent", 3) })
	h.quiet(t)
	h.Do(func() {
		if len(r.Rejects) != 3 || r.Has("Ended", 1) {
			t.Error("told", r.Told, r.Err)
		}
		for i, err := range r.Rejects {
			if !errors.Is(err, syscall.ECONNREFUSED) || r.RejectTo[i] != to {
				t.Errorf("asked %v, rejected by %v: %v", to, r.RejectTo[i], err)
			}
		}
	})
}

func sourcePortInUse(t *testing.T, h *Harness) {
	to := h.Serve(t, "udp", v4, Echoes)
	taken := packetSocket(t, v4)
	d := udp(to)
	d.SourcePort = addrOf(taken.LocalAddr()).Port()
	r := h.visit(t, d)
	if !errors.Is(r.Err, syscall.EADDRINUSE) || len(r.Told) != 1 {
		t.Error("told", r)
	}
}
