package emit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/fault"
)

// stallTimeout is how long a receiver may take nothing before the connection
// is given up.
const stallTimeout = 30 * time.Second

// Stream sends each event as one message of RFC 5424 over TCP with octet
// counting (RFC 6587 section 3.4.1) or TLS (RFC 5425): at least once.
//
// TCP does not tell what the program at the other end has read. So a message
// counts as delivered once the other machine has acknowledged its bytes, and
// the last ones that counted are sent again whenever a connection had to be
// made anew, after a restart too. Receivers tell doubles by their id. What may still be lost is what
// a receiver had acknowledged, more than Resend messages back, and not read
// when it died.
type Stream struct {
	steps
	cfg  SyslogConfig
	head header
	link *link    // nil: not connected
	last [][]byte // the frames delivered last, oldest first; at most cfg.Resend
}

// Name implements Sink.
func (s *Stream) Name() string { return s.cfg.Name }

// Wants implements Sink.
func (s *Stream) Wants(e *event.Event) bool { return loud(e) }

// Resume implements Sink.
func (s *Stream) Resume(_, cursor int64) (int64, error) { return cursor, nil }

// Repeats implements Repeater.
func (s *Stream) Repeats() int { return s.cfg.Resend }

// Repeat implements Repeater.
func (s *Stream) Repeat(records []Record) {
	for i := range records {
		s.last = append(s.last, s.frame(&records[i]))
	}
}

// Close implements Sink.
func (s *Stream) Close() error {
	if s.link == nil {
		return nil
	}
	err := s.link.close()
	s.link = nil
	return err
}

// Deliver implements Sink. Records go in groups of at most Resend, each of
// which is acknowledged before the next.
func (s *Stream) Deliver(ctx context.Context, records []Record) (int, error) {
	group := len(records)
	if s.cfg.Resend > 0 {
		group = min(group, s.cfg.Resend)
	}
	for done := 0; done < len(records); {
		s.step()
		next := records[done:min(done+group, len(records))]
		if err := s.deliver(ctx, next); err != nil {
			return done, fmt.Errorf("send to syslog %s: %w", s.cfg.Address, err)
		}
		done += len(next)
	}
	return len(records), nil
}

// deliver sends a group and waits until the other machine has it.
func (s *Stream) deliver(ctx context.Context, group []Record) error {
	frames := make([][]byte, len(group))
	for i := range group {
		frames[i] = s.frame(&group[i])
	}
	err := s.connect(ctx)
	if err == nil {
		fault.Point("syslog.send.before")
		err = s.link.send(ctx, frames)
		fault.Point("syslog.send.after")
	}
	if err != nil {
		return errors.Join(err, s.Close())
	}
	s.last = append(s.last, frames...)
	s.last = append([][]byte(nil), s.last[max(0, len(s.last)-s.cfg.Resend):]...)
	return nil
}

// frame makes a message with its length before it.
func (s *Stream) frame(r *Record) []byte {
	msg := appendRFC5424(nil, &s.head, s.cfg.Format, r, maxStream)
	out := strconv.AppendInt(make([]byte, 0, len(msg)+8), int64(len(msg)), 10)
	return append(append(out, ' '), msg...)
}

// connect makes sure that there is a connection which the other end has not
// closed. A new one begins with what was sent last over the one before.
func (s *Stream) connect(ctx context.Context) error {
	if s.link != nil && s.link.gone() == nil {
		return nil
	}
	_ = s.Close() // the other end has closed it: there is nothing to tell
	began := time.Now()
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	s.link = newLink(conn, s.step)
	if s.cfg.Network == "tls" {
		if err := s.link.accepted(ctx, 2*time.Since(began)); err != nil {
			return err
		}
	}
	return s.link.send(ctx, s.last)
}

func (s *Stream) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	var d net.Dialer
	if s.cfg.Network == "tcp" {
		return d.DialContext(ctx, "tcp", s.cfg.Address)
	}
	cfg, err := s.cfg.TLS()
	if err != nil {
		return nil, err
	}
	secure := tls.Dialer{NetDialer: &d, Config: cfg}
	return secure.DialContext(ctx, "tcp", s.cfg.Address)
}

// A link is one connection. Syslog receivers say nothing, so that whatever
// comes back means its end: a goroutine waits for that. In TLS 1.3 the other
// end's refusal of our certificate comes this way too.
type link struct {
	conn  net.Conn
	ended chan struct{} // closed by the reader after it has set why
	why   error
	step  func() // called whenever something got through
}

func newLink(conn net.Conn, step func()) *link {
	l := &link{conn: conn, ended: make(chan struct{}), step: step}
	go func() {
		defer close(l.ended)
		if _, l.why = io.Copy(io.Discard, conn); l.why == nil {
			l.why = errors.New("the receiver closed the connection")
		}
	}()
	return l
}

// accepted waits whether the receiver takes our certificate. In TLS 1.3 it says
// so only if it does not, about one round trip after we believe that the
// handshake is done.
func (l *link) accepted(ctx context.Context, roundTrips time.Duration) error {
	const least = 100 * time.Millisecond // for the receiver to think
	t := time.NewTimer(max(least, roundTrips))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-l.ended:
		return l.why
	case <-t.C:
		return nil
	}
}

// gone gives the reason for which the connection ended, or nil.
func (l *link) gone() error {
	select {
	case <-l.ended:
		return l.why
	default:
		return nil
	}
}

func (l *link) close() error {
	err := l.conn.Close()
	<-l.ended
	return err
}

// send writes the frames and waits until the other machine has acknowledged
// them.
func (l *link) send(ctx context.Context, frames [][]byte) error {
	stop := context.AfterFunc(ctx, func() { l.conn.SetWriteDeadline(time.Now()) })
	defer stop()
	for _, f := range frames {
		if err := ctx.Err(); err != nil {
			return err
		}
		l.step()
		l.conn.SetWriteDeadline(time.Now().Add(stallTimeout))
		if _, err := l.conn.Write(f); err != nil {
			if why := l.gone(); why != nil {
				return why // says more than a broken pipe
			}
			return errors.Join(ctx.Err(), err)
		}
	}
	return l.acknowledged(ctx)
}

// acknowledged waits until the kernel has nothing left to send or to be
// acknowledged. It is enough that something goes on.
func (l *link) acknowledged(ctx context.Context) error {
	const often, seldom = time.Millisecond, 50 * time.Millisecond
	wait, before, since := often, -1, time.Now()
	for {
		left, known := unacknowledged(l.conn)
		if err := l.gone(); err != nil {
			return err
		}
		switch {
		case left == 0 || !known:
			return ctx.Err()
		case left != before:
			before, since = left, time.Now()
			l.step()
		case time.Since(since) > stallTimeout:
			return fmt.Errorf("nothing taken for %v", stallTimeout)
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-l.ended:
			t.Stop()
		case <-t.C:
		}
		wait = min(2*wait, seldom)
	}
}
