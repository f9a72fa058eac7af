package tlsprobe

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// Alert gives the description of the TLS alert by which the peer ended a
// handshake or a tunnel ("handshake failure", "certificate required"), or ""
// when err is none.
func Alert(err error) string {
	// crypto/tls wraps a received alert, whose type it keeps to itself, in
	// an OpError of this operation.
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "remote error" || op.Err == nil {
		return ""
	}
	return printable(strings.TrimPrefix(op.Err.Error(), "tls: "), MaxName)
}

// cause names the end of a failed handshake. The same failure has the same
// name each time: no addresses, ports or other text of the moment.
func cause(err error) string {
	if alert := Alert(err); alert != "" {
		return alert
	}
	if name := ending(err); name != "" {
		return name
	}
	if _, notTLS := errors.AsType[tls.RecordHeaderError](err); notTLS {
		return "not TLS"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		err = op.Err
	}
	return printable(strings.TrimPrefix(err.Error(), "tls: "), MaxName)
}

// ending names how the connection ended below TLS, or gives "" when it did
// not. No error is an orderly end.
func ending(err error) string {
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, io.ErrClosedPipe):
		return "closed"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	return ""
}

// brokeOff reports whether it was the peer or the network that ended the
// handshake, and not a judgement of ours.
func brokeOff(err error) bool { return Alert(err) != "" || ending(err) != "" }
