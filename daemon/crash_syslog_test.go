//go:build faultpoints

package main

import (
	"errors"
	"net"
	"regexp"
	"sync"
	"testing"
)

// receiver takes syslog datagrams and keeps the ids in them.
type receiver struct {
	conn net.PacketConn
	mu   sync.Mutex
	ids  map[string]int
}

func newReceiver(t *testing.T) *receiver {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.UDPConn).SetReadBuffer(4 << 20); err != nil { // what waits for a busy machine is not lost
		t.Fatal(err)
	}
	r := &receiver{conn: conn, ids: map[string]int{}}
	done := make(chan struct{})
	go func() { defer close(done); r.serve() }()
	t.Cleanup(func() { conn.Close(); <-done })
	return r
}

var syslogID = regexp.MustCompile(` id="([0-9a-f]{32})"`)

func (r *receiver) serve() {
	buf := make([]byte, 64<<10)
	for {
		n, _, err := r.conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if m := syslogID.FindSubmatch(buf[:n]); m != nil {
			r.mu.Lock()
			r.ids[string(m[1])]++
			r.mu.Unlock()
		}
	}
}

func (r *receiver) addr() string { return r.conn.LocalAddr().String() }

func (r *receiver) distinct() int { r.mu.Lock(); defer r.mu.Unlock(); return len(r.ids) }

func (r *receiver) total() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, count := range r.ids {
		n += count
	}
	return n
}
