// Package engine holds many conversations at once over non-blocking sockets.
//
// A [Loop] serves its connections one event at a time on one goroutine, so who
// uses it needs no locks: all methods but Post are called from that goroutine,
// which is where handlers, timers and posted functions run. A connection that
// waits costs a descriptor and a small struct, no goroutine and no allocation.
//
// No endpoint is lost for want of resources: when descriptors, source ports or
// buffers run out, what cannot be opened now waits until something is closed,
// and [Stats] says so.
//
// [New] makes loops over epoll on Linux (a waiting connection takes less than
// 512 bytes of heap) and over Go's net elsewhere ([NewNet]: goroutines and a
// buffer per connection). Both pass one contract, that of package enginetest.
package engine

import (
	"net/netip"
	"time"
)

// A Loop is one event loop.
type Loop interface {
	// Post runs f on the loop, soon and in the order of the calls. Any
	// goroutine may call it. It reports false when the loop is closed, and f
	// will never run.
	Post(f func()) bool
	// Now is the time of this turn of the loop, read once per turn.
	Now() time.Time
	// Open begins a connection. It never fails at once: h is told, later.
	Open(d Dial, h Handler) Conn
	// NewTimer makes a stopped timer that runs f on the loop.
	NewTimer(f func()) Timer
}

// A Dial says what to connect to.
type Dial struct {
	Network    string         // "tcp" or "udp"
	Remote     netip.AddrPort // link-local addresses with their zone
	SourcePort uint16         // 0: any; one that is taken ends the connection
	Timeout    time.Duration  // of a TCP connect, counted from the SYN; required
	// Interface, if not empty, is the one that all packets leave and come by,
	// whatever the routes say. Where a socket cannot be bound to it, because it
	// is not there or that is not permitted, the connection ends with the
	// system's error and no packet is sent; systems other than Linux always
	// refuse.
	Interface string
}

// A Handler is told what happens to one connection. Its methods run on the
// loop and must not block.
type Handler interface {
	// Opened: the TCP connect is complete, after rtt; a UDP socket is there.
	Opened(rtt time.Duration)
	// Received: bytes came, of a UDP socket one whole datagram (which may be
	// empty) from that address. b is valid during the call.
	Received(b []byte, from netip.AddrPort)
	// Sent: all bytes of the oldest Send that was not told of were handed to
	// the kernel.
	Sent()
	// Rejected: an ICMP error about a datagram sent to that address. The
	// socket stays open. On systems that do not tell it never comes.
	Rejected(err error, to netip.AddrPort)
	// Ended: the connection is gone, or was never there: io.EOF after an
	// orderly close by the peer, os.ErrDeadlineExceeded when the connect took
	// too long, net.ErrClosed when the engine was closed, else the system's
	// error (a syscall.Errno, perhaps wrapped, as in an *ICMPError). A reset is ECONNRESET, told
	// after all that came before it. Want of local resources is never told.
	// Nothing follows, and Close need not be called.
	Ended(err error)
}

// A Conn is one connection or UDP socket of a loop.
type Conn interface {
	// Send queues b, which must not change before Sent; where that never
	// comes, not at all. It may be called before Opened.
	Send(b []byte)
	// Close closes the connection; nothing of it is told any more. What the
	// system takes of what was sent still goes out, the rest is dropped. It
	// may be called more than once, and after Ended.
	Close()
	// Local is our address, valid once Opened, and also after Ended. Of a UDP
	// socket, which sends from whichever address the route asks for, only the
	// port is known. With [New] on Linux it is known as soon as a SYN was sent,
	// so also of a connect that failed.
	Local() netip.AddrPort
}

// A Timer runs its function once per Reset.
type Timer interface {
	Reset(at time.Time)
	Stop()
}
