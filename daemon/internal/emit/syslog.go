package emit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/fault"
)

// sendTimeout bounds connecting to a syslog daemon, and one datagram to one
// that does not read.
const sendTimeout = 5 * time.Second

// SyslogConfig says where syslog messages go.
type SyslogConfig struct {
	Name     string // of the cursor: SyslogName, or SyslogName, a dot and a word
	Network  string // "udp", "tcp", "tls" or "unixgram"
	Address  string // "host:port", or a path such as /dev/log
	Format   Format
	Facility int    // RFC 5424 section 6.2.1, 0 to 23
	Hostname string // of this sensor
	Full     string // where the full line of an event is found, "" for nowhere

	// TLS gives the configuration for a connection, anew for each one, so that
	// renewed certificates are used. For the network "tls" only.
	TLS func() (*tls.Config, error)
	// Resend is how many messages are sent again over a new connection of the
	// networks "tcp" and "tls".
	Resend int
}

// SyslogName is the name of the first syslog sink's cursor.
const SyslogName = "syslog"

// NewSyslog returns the sink: a [Datagrams] or a [Stream]. It connects at the
// first delivery, because a syslog daemon may start later than we do.
func NewSyslog(cfg SyslogConfig) Sink {
	h := header{cfg.Facility, cfg.Hostname, os.Getpid(), cfg.Full}
	if cfg.Network == "tcp" || cfg.Network == "tls" {
		return &Stream{cfg: cfg, head: h}
	}
	return &Datagrams{cfg: cfg, head: h}
}

// loud says whether receivers other than the event file are told of an event:
// a baseline is told by one watch.baselined, and what an operator silenced is
// not told.
func loud(e *event.Event) bool { return e.Action != event.ServiceBaseline && !e.Silenced }

// Datagrams sends each event as one datagram: RFC 5424 over UDP (RFC 5426),
// and the local form of syslog(3) on a Unix socket. Both are best effort: a
// receiver that is down or drops datagrams loses events, which stay in the JSON
// file and in `sonde events`. A refusal that the kernel reports holds the
// cursor, and the refused datagram is sent again.
type Datagrams struct {
	steps
	cfg  SyslogConfig
	head header
	conn net.Conn
	// suspect is the datagram sent last: an ICMP refusal arrives only with
	// the send after it.
	suspect []byte
}

// Name implements Sink.
func (s *Datagrams) Name() string { return s.cfg.Name }

// Wants implements Sink.
func (s *Datagrams) Wants(e *event.Event) bool { return loud(e) }

// Resume implements Sink.
func (s *Datagrams) Resume(_, cursor int64) (int64, error) { return cursor, nil }

// Close implements Sink.
func (s *Datagrams) Close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}

// Deliver implements Sink.
func (s *Datagrams) Deliver(ctx context.Context, records []Record) (int, error) {
	for i := range records {
		if err := ctx.Err(); err != nil {
			return i, err
		}
		s.step()
		msg := s.format(&records[i])
		fault.Point("syslog.send.before")
		if err := s.send(ctx, msg); err != nil {
			return i, fmt.Errorf("send to syslog %s: %w", s.cfg.Address, err)
		}
		fault.Point("syslog.send.after")
	}
	return len(records), nil
}

func (s *Datagrams) format(r *Record) []byte {
	if s.cfg.Network == "unixgram" {
		return appendLocal(nil, &s.head, s.cfg.Format, r)
	}
	return appendRFC5424(nil, &s.head, s.cfg.Format, r, maxDatagram)
}

// send sends one datagram, after the one before it where that was refused.
func (s *Datagrams) send(ctx context.Context, msg []byte) error {
	if s.conn == nil {
		d := net.Dialer{Timeout: sendTimeout}
		conn, err := d.DialContext(ctx, s.cfg.Network, s.cfg.Address)
		if err != nil {
			return err
		}
		s.conn = conn
		if s.suspect != nil {
			if err := s.write(s.suspect); err != nil {
				return err
			}
		}
	}
	if err := s.write(msg); err != nil {
		return err
	}
	s.suspect = msg
	return nil
}

func (s *Datagrams) write(msg []byte) error {
	err := s.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	if err == nil {
		_, err = s.conn.Write(msg)
	}
	if err == nil {
		return nil
	}
	// A new daemon has a new socket, and a refused datagram is pending: both
	// begin again with a new connection.
	if !errors.Is(err, syscall.ECONNREFUSED) {
		s.suspect = nil
	}
	return errors.Join(err, s.Close())
}
