package engine

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

type told struct {
	c    Conn
	data []byte
	end  chan error
}

func (h *told) Opened(time.Duration)                  {}
func (h *told) Received(b []byte, _ netip.AddrPort)   { h.data = append(h.data, b...) }
func (h *told) Sent()                                 {}
func (h *told) Rejected(err error, to netip.AddrPort) { h.end <- err }
func (h *told) Ended(err error)                       { h.end <- err }

func TestSmoke(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "hello")
			io.ReadFull(c, make([]byte, 4))
			io.WriteString(c, "bye")
			c.Close()
		}
	}()
	e, err := New(Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	l := e.Loops()[0]
	h := &told{end: make(chan error, 10)}
	l.Post(func() {
		h.c = l.Open(Dial{Network: "tcp", Remote: netip.MustParseAddrPort(ln.Addr().String()), Timeout: time.Second}, h)
		h.c.Send([]byte("quit"))
	})
	if err := <-h.end; err != io.EOF || string(h.data) != "hellobye" {
		t.Error(err, string(h.data))
	}
	t.Log(e.Stats())
	u := &told{end: make(chan error, 10)}
	l.Post(func() {
		u.c = l.Open(Dial{Network: "udp", Remote: netip.MustParseAddrPort(ln.Addr().String())}, u)
		u.c.Send([]byte("quit"))
	})
	t.Log(<-u.end)
	e.Close()
	t.Log(<-u.end, e.Stats())
}
