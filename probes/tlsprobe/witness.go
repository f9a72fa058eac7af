package tlsprobe

import "net"

// headerSize is that of a TLS record: type, version, length.
const headerSize = 5

// A witness remembers how the peer's side of a connection began.
type witness struct {
	net.Conn
	head [headerSize]byte
	n    int // bytes of head that are filled
}

// Read implements net.Conn.
func (w *witness) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.n += copy(w.head[w.n:], b[:n])
	return n, err
}

// spokeTLS reports whether the peer began with an alert or handshake record
// (RFC 8446 section 5.1) of SSL 3.0 to TLS 1.3, of a length that is allowed.
func (w *witness) spokeTLS() bool {
	const alert, handshake = 21, 22
	const maxRecord = 1<<14 + 2048 // RFC 5246 section 6.2.3
	if w.n < headerSize {
		return false
	}
	length := int(w.head[3])<<8 | int(w.head[4])
	return (w.head[0] == alert || w.head[0] == handshake) &&
		w.head[1] == 3 && w.head[2] <= 4 &&
		length > 0 && length <= maxRecord
}
