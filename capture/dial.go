package capture

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"
)

// errStarved marks a try that failed for want of local resources.
var errStarved = errors.New("out of local resources")

// The reasons of replies, in the words of the field.
const (
	reasonSynAck      = "syn-ack"
	reasonRefused     = "conn-refused"
	reasonPortUnreach = "port-unreach"
	reasonSilent      = "no-response"
	reasonAnswered    = "udp-response"
	reasonSelf        = "self-connect"
	reasonHostUnreach = "host-unreach"
)

// connect makes one TCP try.
func (p *prober) connect(ctx context.Context, to netip.AddrPort, cost *tally) (Reply, error) {
	if err := p.Wait(ctx, to.Addr()); err != nil {
		return Reply{}, err
	}
	cost.tries++
	d := net.Dialer{Timeout: p.Timeout, KeepAlive: -1, Control: onInterface(p.Interface)}
	conn, err := d.DialTCP(ctx, "tcp", netip.AddrPort{}, to)
	at := time.Now()
	if err != nil {
		return p.classify(ctx, to, err, at, reasonRefused)
	}
	self := isSelf(conn)
	_ = conn.Close() // nothing was sent, so nothing is lost if this fails
	if self {
		return Reply{Kind: Refused, Reason: reasonSelf, At: at}, nil
	}
	return Reply{Kind: Accepted, Reason: reasonSynAck, At: at}, nil
}

// isSelf says whether a socket is connected to itself: trying a port of this
// machine, the kernel may choose that very port as the source, and a TCP
// simultaneous open succeeds (RFC 9293 section 3.5). Nobody listens there.
func isSelf(conn net.Conn) bool {
	return conn.LocalAddr().String() == conn.RemoteAddr().String()
}

// maxDatagram is how much of a UDP answer is kept: no answer to one small
// request that identifies a service is longer.
const maxDatagram = 16 << 10

// datagrams sends each payload in turn until one draws an answer or an error.
func (p *prober) datagrams(ctx context.Context, to netip.AddrPort, cost *tally) (Reply, error) {
	payloads := p.Payloads(to.Port())
	if len(payloads) == 0 {
		payloads = [][]byte{nil}
	}
	var r Reply
	for _, payload := range payloads {
		if err := p.Wait(ctx, to.Addr()); err != nil {
			return r, err
		}
		cost.tries++
		var err error
		if r, err = p.datagram(ctx, to, payload); err != nil || r.Kind != Silent {
			return r, err
		}
		if !answersElsewhere(to.Port()) {
			continue
		}
		if err := p.Wait(ctx, to.Addr()); err != nil {
			return r, err
		}
		cost.tries++
		if r, err = p.elsewhere(ctx, to, payload); err != nil || r.Kind != Silent {
			return r, err
		}
	}
	return r, nil
}

// datagram sends one payload from a socket of its own, so that an answer can
// only be one to it.
func (p *prober) datagram(ctx context.Context, to netip.AddrPort, payload []byte) (Reply, error) {
	d := net.Dialer{Control: onInterface(p.Interface)}
	conn, err := d.DialUDP(ctx, "udp", netip.AddrPort{}, to)
	if err != nil {
		return p.classify(ctx, to, err, time.Now(), reasonPortUnreach)
	}
	defer func() { _ = conn.Close() }()
	if isSelf(conn) {
		return Reply{Kind: Refused, Reason: reasonSelf, At: time.Now()}, nil
	}
	if err := conn.SetDeadline(time.Now().Add(p.Timeout)); err != nil {
		return Reply{}, fmt.Errorf("set deadline for %s: %w", to, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if _, err := conn.Write(payload); err != nil {
		return p.classify(ctx, to, err, time.Now(), reasonPortUnreach)
	}
	n, err := conn.Read(p.buffer())
	at := time.Now()
	if err != nil {
		return p.classify(ctx, to, err, at, reasonPortUnreach)
	}
	return Reply{Kind: Answered, Reason: reasonAnswered, At: at,
		Payload: slices.Clone(p.buf[:n]), Sent: payload}, nil
}

// buffer is where the prober reads datagrams to.
func (p *prober) buffer() []byte {
	if p.buf == nil {
		p.buf = make([]byte, maxDatagram)
	}
	return p.buf
}

// classify turns the error of a socket into a reply. The error that it gives
// is errStarved, the end of ctx, or something that no target should cause.
func (p *prober) classify(ctx context.Context, to netip.AddrPort, err error, at time.Time, refused string) (Reply, error) {
	var errno syscall.Errno
	_ = errors.As(err, &errno) // stays 0 for timeouts of our own
	switch {
	case ctx.Err() != nil:
		return Reply{}, context.Cause(ctx)
	case errno == 0 && isTimeout(err) || slices.Contains(timeoutErrnos, errno):
		return Reply{Kind: Silent, Reason: reasonSilent, At: at}, nil
	case slices.Contains(refusedErrnos, errno):
		return Reply{Kind: Refused, Reason: refused, At: at}, nil
	case errno == addrNotAvail && !p.canRoute(ctx, to):
		return Reply{Kind: Unreachable, Reason: "no-source-address", At: at}, nil
	case errno == addrNotAvail || slices.Contains(starvedErrnos, errno):
		return Reply{}, fmt.Errorf("%w: %w", errStarved, err)
	case slices.Contains(unreachableErrnos, errno):
		return Reply{Kind: Unreachable, Reason: pathReason(err), At: at}, nil
	}
	// What is left are local rules (EPERM of a packet filter, EACCES of a
	// broadcast address) and kernels of the future.
	return Reply{Kind: Unreachable, Reason: notTried + ": " + reasonOf(err), At: at}, nil
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

// canRoute tells a machine without an address to send from, which stays so,
// from one that is out of local ports, which passes: connecting a UDP socket
// asks the routing table and sends nothing.
func (p *prober) canRoute(ctx context.Context, to netip.AddrPort) bool {
	d := net.Dialer{Control: onInterface(p.Interface)}
	conn, err := d.DialUDP(ctx, "udp", netip.AddrPort{}, to)
	if err != nil {
		var errno syscall.Errno
		return !errors.As(err, &errno) || errno != addrNotAvail && !slices.Contains(unreachableErrnos, errno)
	}
	_ = conn.Close()
	return true
}

// pathReason names an error of the path in the words of package session.
func pathReason(err error) string {
	switch {
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EHOSTDOWN):
		return reasonHostUnreach
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.ENETDOWN):
		return "net-unreach"
	}
	return reasonOf(err)
}

// reasonOf gives the words of the innermost error, "no route to host".
func reasonOf(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	return err.Error()
}
