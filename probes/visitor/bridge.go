package visitor

import (
	"bytes"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"sonde/probes/session"
)

// maxUnread is how many bytes a tunnel holds that crypto/tls has not read. The
// loop cannot make a peer wait, so one that sends faster than this machine
// decrypts is cut off. A visit moves 256 KiB by default, and reads at most
// 64 KiB of an answer: what is cut off lies beyond what anyone would read, so
// that load does not decide what is seen.
const maxUnread = 512 << 10

// keepBuffer is how much memory a bridge keeps for the next bytes when all are
// read: a record of 16 KiB fits.
const keepBuffer = 32 << 10

// errFlood ends a connection whose peer sends faster than we decrypt.
var errFlood = errors.New("peer sends faster than it can be read")

// A bridge is the connection below crypto/tls: the loop fills it, and one
// goroutine reads it. A write neither blocks nor fails before the loop shuts
// the bridge; that the peer is gone shows when all that it sent is read. So an
// alert is seen whatever we were about to send.
type bridge struct {
	send func(b []byte) // hands over to the loop

	mu      sync.Mutex // guards what follows
	changed sync.Cond  // there may be something to read
	buf     []byte     // what came …
	off     int        // … and is read up to here
	in, out int        // bytes read and written
	end     error      // comes after what is unread
	shaking bool       // the handshake is not complete,
	room    int        // which may read so many bytes,
	late    bool       // and has no time any more
	parked  bool       // the reader waits and has dealt with all it read
	over    bool       // it is gone, and has told the loop why
	waiting []waiter
}

// A waiter is to be told when what came so far has been dealt with.
type waiter struct {
	in int // bytes read by then
	f  func()
}

func newBridge(room int, send func(b []byte)) *bridge {
	b := &bridge{send: send, shaking: true, room: room}
	b.changed.L = &b.mu
	return b
}

// received takes what came for the reader. It reports false when that is more
// than it may hold, and no more will be taken.
func (b *bridge) received(p []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.end != nil:
		return true
	case len(b.buf)-b.off+len(p) > maxUnread:
		b.finish(errFlood)
		return false
	}
	b.buf = append(b.buf, p...)
	b.changed.Signal()
	return true
}

// ended says that no more will come, and why.
func (b *bridge) ended(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.finish(err)
}

// finish is ended for who holds mu. The first reason counts.
func (b *bridge) finish(err error) {
	if b.end == nil {
		b.end = err
		b.changed.Signal()
	}
}

// expire ends the handshake, if it is not complete when all that came is read.
func (b *bridge) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.late = true
	b.changed.Signal()
}

// shut ends reading and writing at once.
func (b *bridge) shut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf, b.off, b.end = nil, 0, net.ErrClosed
	b.changed.Signal()
}

// shaken ends the handshake, and says how many bytes it moved.
func (b *bridge) shaken() (out, in int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shaking = false
	return b.out, b.in
}

// unread reports whether there is something that the reader has not dealt with.
// If so, f is called when it has; it must not block.
func (b *bridge) unread(f func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.over: // the loop is yet to hear of it, and hears of f after that
		f()
		return true
	case b.parked && b.off == len(b.buf):
		return false
	}
	b.waiting = append(b.waiting, waiter{b.in + len(b.buf) - b.off, f})
	return true
}

// dealt tells those who waited for what was read by now.
func (b *bridge) dealt() {
	n := 0
	for ; n < len(b.waiting) && (b.over || b.waiting[n].in <= b.in); n++ {
		b.waiting[n].f()
	}
	b.waiting = b.waiting[n:]
}

// leave says that the reader is gone.
func (b *bridge) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	b.dealt()
}

// Read implements net.Conn. Crypto/tls reads only when it has handed on all
// that it read before.
func (b *bridge) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dealt()
	if b.shaking {
		if b.in >= b.room {
			return 0, session.ErrHandshakeBytes
		}
		p = p[:min(len(p), b.room-b.in)]
	}
	for b.off == len(b.buf) {
		switch {
		case b.end != nil:
			return 0, b.end
		case b.shaking && b.late:
			return 0, os.ErrDeadlineExceeded
		}
		b.parked = true
		b.changed.Wait()
		b.parked = false
	}
	n := copy(p, b.buf[b.off:])
	b.off += n
	b.in += n
	if b.off == len(b.buf) {
		b.buf, b.off = b.buf[:0], 0
		if cap(b.buf) > keepBuffer {
			b.buf = nil
		}
	}
	return n, nil
}

// Write implements net.Conn.
func (b *bridge) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end != nil && errors.Is(b.end, net.ErrClosed) {
		return 0, net.ErrClosed
	}
	b.out += len(p)
	b.send(bytes.Clone(p))
	return len(p), nil
}

// Close implements net.Conn. The loop closes the connection.
func (b *bridge) Close() error { return nil }

// LocalAddr implements net.Conn.
func (b *bridge) LocalAddr() net.Addr { return bridgeAddr{} }

// RemoteAddr implements net.Conn.
func (b *bridge) RemoteAddr() net.Addr { return bridgeAddr{} }

// SetDeadline implements net.Conn; the loop keeps the time.
func (b *bridge) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (b *bridge) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (b *bridge) SetWriteDeadline(time.Time) error { return nil }

// A bridgeAddr is the address of a bridge.
type bridgeAddr struct{}

// Network implements net.Addr.
func (bridgeAddr) Network() string { return "bridge" }

// String implements net.Addr.
func (bridgeAddr) String() string { return "bridge" }
