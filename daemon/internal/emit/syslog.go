package emit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/fault"
)

// sendTimeout bounds one send to a syslog daemon that does not read.
const sendTimeout = 5 * time.Second

// SyslogConfig says where syslog messages go.
type SyslogConfig struct {
	Network  string // "udp" or "unixgram"
	Address  string // "host:port", or a path such as /dev/log
	Facility int    // RFC 5424 section 6.2.1, 0 to 23
	Hostname string // of this sensor
	Log      *slog.Logger
}

// Syslog sends each event as one datagram: RFC 5424 with structured data over
// UDP (RFC 5426), and the local form of syslog(3) with a JSON body on a Unix
// socket. Both are best effort: a receiver that is down or drops datagrams
// loses events, which stay in the JSON file and in `sonde events`. A refusal
// that the kernel reports holds the cursor, and the refused datagram is sent
// again.
type Syslog struct {
	cfg  SyslogConfig
	pid  int
	conn net.Conn
	// suspect is the datagram sent last: an ICMP refusal arrives only with
	// the send after it.
	suspect []byte
}

// NewSyslog returns the sink; it connects at the first delivery, because a
// syslog daemon may start later than we do.
func NewSyslog(cfg SyslogConfig) *Syslog { return &Syslog{cfg: cfg, pid: os.Getpid()} }

// SyslogName is the name of the sink's cursor.
const SyslogName = "syslog"

// Name implements Sink.
func (s *Syslog) Name() string { return SyslogName }

// Wants implements Sink: a baseline is told by one watch.baselined, not by a
// message per service.
func (s *Syslog) Wants(e *event.Event) bool { return e.Action != event.ServiceBaseline && !e.Silenced }

// Resume implements Sink.
func (s *Syslog) Resume(_, cursor int64) (int64, error) { return cursor, nil }

// Close implements Sink.
func (s *Syslog) Close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}

// Deliver implements Sink.
func (s *Syslog) Deliver(ctx context.Context, records []Record) (int, error) {
	for i := range records {
		if err := ctx.Err(); err != nil {
			return i, err
		}
		msg := s.format(&records[i])
		fault.Point("syslog.send.before")
		if err := s.send(ctx, msg); err != nil {
			return i, fmt.Errorf("send to syslog %s: %w", s.cfg.Address, err)
		}
		fault.Point("syslog.send.after")
	}
	return len(records), nil
}

func (s *Syslog) format(r *Record) []byte {
	if s.cfg.Network == "unixgram" {
		return appendLocal(nil, s.cfg.Facility, s.pid, r)
	}
	return appendRFC5424(nil, s.cfg.Facility, s.cfg.Hostname, s.pid, r)
}

// send sends one datagram, after the one before it where that was refused.
func (s *Syslog) send(ctx context.Context, msg []byte) error {
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

func (s *Syslog) write(msg []byte) error {
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
