package tlsprobe

import (
	"crypto/tls"
	"fmt"
)

// A handshakeReader puts handshake messages together from records.
type handshakeReader struct {
	head [4]byte // type and length
	n    int     // bytes of head that are filled
	left int     // bytes of the message that are still to come
	body []byte  // of a ServerHello
}

// readHandshake takes the next bytes of the handshake layer.
func (r *Reader) readHandshake(b []byte) {
	h := &r.shake
	for len(b) > 0 && !r.done {
		if h.n < len(h.head) {
			n := copy(h.head[h.n:], b)
			b = b[n:]
			if h.n += n; h.n == len(h.head) {
				h.left = uint24(h.head[1:])
				r.beginMessage(h.head[0], h.left)
			}
		} else {
			n := min(len(b), h.left)
			h.left -= n
			r.readMessage(h.head[0], b[:n])
			b = b[n:]
		}
		if h.n == len(h.head) && h.left == 0 && !r.done {
			h.n = 0
			r.endMessage(h.head[0], uint24(h.head[1:]))
		}
	}
}

// beginMessage checks that a message may come now and is not too long.
func (r *Reader) beginMessage(kind byte, length int) {
	limit := maxSkipped
	expected := r.shaken
	switch kind {
	case typeHelloRequest:
		limit, expected = 0, true
	case typeServerHello:
		limit, expected = maxServerHello, !r.shaken
	case typeCertificate:
		limit = 1 << 24 // endMessage and the leaf's own limit see to it
		expected = r.shaken && r.cert.n == 0
	case typeServerKeyExchange, typeCertificateStatus, typeSupplementalData:
	case typeCertificateRequest:
		r.asked = r.shaken
	case typeServerHelloDone:
		limit = 0
	default:
		expected = false
	}
	switch {
	case !expected:
		r.fail(fmt.Sprintf("unexpected handshake message of type %d", kind))
	case length > limit:
		r.fail(fmt.Sprintf("handshake message of %d bytes", length))
	}
}

func (r *Reader) readMessage(kind byte, b []byte) {
	switch kind {
	case typeServerHello:
		r.shake.body = append(r.shake.body, b...)
	case typeCertificate:
		if problem := r.cert.feed(b); problem != "" {
			r.fail(problem)
			return
		}
		// Of a chain without end the leaf is all that is waited for.
		length := uint24(r.shake.head[1:])
		if length > maxCertificates && r.cert.leaf() != nil {
			r.fail(fmt.Sprintf("certificate message of %d bytes", length))
		}
	}
}

func (r *Reader) endMessage(kind byte, length int) {
	switch kind {
	case typeHelloRequest:
		r.idle("hello requests")
	case typeServerHello:
		r.endServerHello()
	case typeCertificate:
		// An empty list is how a server says that it has none.
		if r.cert.leaf() == nil && length > 3 {
			r.fail("malformed certificate message")
		}
	case typeServerHelloDone:
		r.finish()
	}
}

func (r *Reader) endServerHello() {
	hello, ok := parseServerHello(r.shake.body)
	r.shake.body = nil
	if !ok || hello.version>>8 != 3 {
		r.fail("malformed server hello")
		return
	}
	r.shaken, r.hello = true, hello
	if hello.version >= tls.VersionTLS13 {
		r.finish() // what follows is encrypted
	}
}

func (r *Reader) finish() {
	r.whole = true
	r.fail(NotContinued)
}
