package session

import (
	"context"
	"net"
	"time"

	"sonde/probes/sshkey"
	"sonde/probes/tlsprobe"
)

// shake makes a pipe the inside of a tunnel.
func (d *driver) shake(p *pipe, a Action) {
	if p == nil || p.conn == nil {
		return
	}
	below := &meter{Conn: p.conn, head: d.stopReading(p), room: a.MaxBytes, counts: true}
	d.start(func() news {
		ctx, cancel := context.WithTimeout(p.ctx, a.Timeout)
		defer cancel()
		tunnel, facts, err := tlsprobe.Handshake(ctx, below, *a.Hello)
		n := news{pipe: p, kind: Secured, conn: tunnel, err: err, tls: &Handshake{facts, below.out, below.in}}
		if below.counts = false; err != nil {
			n.kind, n.conn = Unsecured, nil
		}
		return n
	})
}

// readKey exchanges keys over a pipe.
func (d *driver) readKey(p *pipe, a Action) {
	if p == nil || p.conn == nil {
		return
	}
	below := &meter{Conn: p.conn, head: d.stopReading(p), room: a.MaxBytes, counts: true}
	below.SetDeadline(time.Now().Add(a.Timeout))
	d.start(func() news {
		key, err := sshkey.Read(below)
		return news{pipe: p, kind: Shown, err: err, key: &KeyExchange{key, below.out, below.in}}
	})
}

// stopReading takes the goroutine off a pipe. What it has read but the machine
// does not know yet is given back.
func (d *driver) stopReading(p *pipe) (unread []byte) {
	p.conn.SetReadDeadline(time.Unix(1, 0))
	for p.reading {
		n := <-d.news
		if n.pipe != p || n.kind != Received {
			d.backlog = append(d.backlog, n)
			continue
		}
		d.busy--
		p.reading = false
		unread = append(unread, p.buf[:n.n]...)
	}
	p.conn.SetReadDeadline(time.Time{})
	return unread
}

// A meter counts and bounds what a handshake moves.
type meter struct {
	net.Conn
	head    []byte // read before
	room    int
	in, out int
	counts  bool
}

// Read implements net.Conn.
func (m *meter) Read(b []byte) (int, error) {
	if m.counts {
		if m.in >= m.room {
			return 0, ErrHandshakeBytes
		}
		b = b[:min(len(b), m.room-m.in)]
	}
	var n int
	var err error
	if len(m.head) > 0 {
		n = copy(b, m.head)
		m.head = m.head[n:]
	} else {
		n, err = m.Conn.Read(b)
	}
	if m.counts {
		m.in += n
	}
	return n, err
}

// Write implements net.Conn.
func (m *meter) Write(b []byte) (int, error) {
	n, err := m.Conn.Write(b)
	if m.counts {
		m.out += n
	}
	return n, err
}
