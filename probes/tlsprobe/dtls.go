package tlsprobe

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// dtlsHeaderSize is that of a record: type, version, epoch, sequence number,
// length (RFC 6347 section 4.1); dtlsMessageSize that of a piece of a
// handshake message: type, length, number, offset, length of the piece
// (section 4.2.2).
const (
	dtlsHeaderSize  = 13
	dtlsMessageSize = 12
)

// DTLSClientHello gives a datagram that begins a handshake of DTLS 1.2 or 1.0
// without a cookie. Random may be any bytes; all zero stands for a text that
// says who asks.
func DTLSClientHello(random [32]byte) []byte {
	if random == [32]byte{} {
		copy(random[:], identification)
	}
	hello := Hello{Version: VersionDTLS12, Suites: dtlsSuites[:], Random: random}
	var body cryptobyte.Builder
	addHello(&body, hello, true)
	return dtlsHandshake(0, typeClientHello, body.BytesOrPanic())
}

// dtlsHandshake puts a message in one piece into a record. Both have the
// number n: each of our datagrams holds one message.
func dtlsHandshake(n uint8, kind uint8, body []byte) []byte {
	message := func(b *cryptobyte.Builder) {
		b.AddUint8(kind)
		b.AddUint24(uint32(len(body)))
		b.AddUint16(uint16(n))
		b.AddUint24(0)
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(body) })
	}
	return dtlsRecord(recordHandshake, n, message)
}

// dtlsRecord writes a record in clear. Its version is that of DTLS 1.0, which
// every server takes before one is chosen.
func dtlsRecord(kind, n uint8, body func(*cryptobyte.Builder)) []byte {
	var b cryptobyte.Builder
	b.AddUint8(kind)
	b.AddUint16(VersionDTLS10)
	b.AddUint16(0)         // epoch
	b.AddUint48(uint64(n)) // sequence number
	b.AddUint16LengthPrefixed(body)
	return b.BytesOrPanic() // a hello and a cookie of 255 bytes are below 64 KiB
}

var errNoHello = errors.New("no ClientHello without cookie")

// DTLSEcho gives the datagram that answers a HelloVerifyRequest: first, which
// was sent ([DTLSClientHello] or the payload of a database), once more with
// the server's cookie. All else stays the same, as RFC 6347 section 4.2.1
// demands.
func DTLSEcho(first, cookie []byte) ([]byte, error) {
	var session, empty cryptobyte.String
	var n uint16
	s := cryptobyte.String(first)
	var fixed []byte
	if len(first) < dtlsHeaderSize || first[0] != recordHandshake || !s.Skip(dtlsHeaderSize) ||
		len(s) < dtlsMessageSize || s[0] != typeClientHello || !s.Skip(4) ||
		!s.ReadUint16(&n) || n != 0 || !s.Skip(6) {
		return nil, errNoHello
	}
	body := s
	if !s.Skip(2+32) || !s.ReadUint8LengthPrefixed(&session) {
		return nil, errNoHello
	}
	fixed = body[:len(body)-len(s)]
	if !s.ReadUint8LengthPrefixed(&empty) || len(empty) > 0 {
		return nil, errNoHello
	}
	if len(cookie) > 255 {
		return nil, fmt.Errorf("cookie of %d bytes", len(cookie))
	}
	var b cryptobyte.Builder
	b.AddBytes(fixed)
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(cookie) })
	b.AddBytes(s)
	return dtlsHandshake(1, typeClientHello, b.BytesOrPanic()), nil
}

// DTLSGoodbye gives the datagram that tells a server that we shall not go on,
// so that it need not send its flight again and again: a close_notify with the
// record number that follows a hello and its echo.
func DTLSGoodbye() []byte {
	return dtlsRecord(recordAlert, 2, func(b *cryptobyte.Builder) {
		b.AddBytes([]byte{alertWarning, alertCloseNotify})
	})
}
