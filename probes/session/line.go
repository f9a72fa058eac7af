package session

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// A line is one connection to the endpoint and what came over it.
type line struct {
	conn   net.Conn
	answer answer
	opened time.Time     // when the connect, or the handshake, was complete
	rtt    time.Duration // how long the connect took
	err    error         // how the reading ended, io.EOF for a plain close
	said   bool          // something was sent on it
	empty  bool          // a datagram without a byte came

	release func() // ends the watch over the context
}

// newLine makes conn follow ctx: when that is done every call on conn fails.
func newLine(ctx context.Context, conn net.Conn, opened time.Time) *line {
	watched := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(watched)
		conn.SetDeadline(time.Unix(1, 0))
	})
	return &line{
		conn:   conn,
		opened: opened,
		release: func() {
			if !stop() {
				<-watched
			}
		},
	}
}

// close gives the connection back. It may be called more than once.
func (l *line) close() {
	if l.conn == nil {
		return
	}
	l.release()
	l.conn.Close()
	l.conn = nil
}

// open reports whether neither side has closed.
func (l *line) open() bool { return l.conn != nil && l.answer.end != closed }

// hear reads until the answer is final, until no byte came before patience, or
// until the time until has come, which makes what there is final. It counts
// bytes and waiting in b.
func (l *line) hear(ctx context.Context, b *budget, patience, until time.Time) {
	start := time.Now()
	defer func() { b.waited += time.Since(start) }()
	buf := make([]byte, l.readSize())
	if b.room() == 0 {
		l.answer.expire(start)
		return
	}
	for !l.answer.final() {
		room := buf[:min(len(buf), l.answer.room(), b.room())]
		n, err := l.read(ctx, room, l.answer.wake(patience, until))
		if errors.Is(err, os.ErrDeadlineExceeded) || l.datagrams() && err != nil {
			// A machine under load comes late: what the kernel has taken in
			// meanwhile counts before the silence does. And of an ICMP error
			// it tells before it hands out the datagrams that came earlier.
			n, err = l.secondLook(ctx, room, err)
		}
		now := time.Now()
		l.answer.add(now, buf[:n])
		b.in += n
		switch {
		case l.answer.final():
		case ctx.Err() != nil:
			l.answer.expire(now)
			return
		case n == 0 && err == nil && l.datagrams():
			l.empty = true
			l.answer.finish(proven)
		case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
			l.err = err
			l.answer.finish(closed)
		case b.room() == 0:
			l.answer.finish(cutShort)
		case !now.Before(until):
			l.answer.expire(now)
			return
		case !l.answer.heard() && !now.Before(patience):
			return
		default:
			l.answer.tick(now)
		}
	}
}

// secondLook reads once more after err, without waiting. If nothing came, err
// stands, but for the news that a datagram was too long for the path: that one
// is lost, and the next is sent in fragments.
func (l *line) secondLook(ctx context.Context, room []byte, err error) (int, error) {
	n, again := l.read(ctx, room, time.Now().Add(glance))
	if again == nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.EMSGSIZE) {
		return n, again
	}
	return 0, err
}

func (l *line) datagrams() bool { return l.conn.RemoteAddr().Network() == "udp" }

// readSize is how much one read takes: a datagram must fit as a whole, as far
// as it is wanted.
func (l *line) readSize() int {
	if l.datagrams() {
		return l.answer.limit
	}
	return 4096
}

func (l *line) read(ctx context.Context, buf []byte, deadline time.Time) (int, error) {
	l.conn.SetReadDeadline(deadline)
	if err := ctx.Err(); err != nil { // our deadline may have undone the watch's
		return 0, err
	}
	return l.conn.Read(buf)
}

// say sends payload, and gives up when until has come.
func (l *line) say(ctx context.Context, b *budget, payload []byte, until time.Time) error {
	l.conn.SetWriteDeadline(until)
	if err := ctx.Err(); err != nil {
		return err
	}
	l.said = true
	n, err := l.conn.Write(payload)
	b.out += n
	return err
}
