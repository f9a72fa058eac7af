package tlsprobe

import (
	"crypto/tls"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// alertName words an alert as crypto/tls does, so that a fact is the same
// whoever read it.
func alertName(description byte) string {
	return strings.TrimPrefix(tls.AlertError(description).Error(), "tls: ")
}

// Alert levels and the one description that is no error (RFC 8446 section 6).
const (
	alertWarning     = 1
	alertCloseNotify = 0
)

// A serverHello is what one says about the session.
type serverHello struct {
	version, cipher uint16
	alpn            string
	ticket          bool // the server will give a session ticket
}

// parseServerHello reads the body of a ServerHello of any version. What comes
// after the fixed part is taken as far as it is sound: an odd extension is no
// reason to know less.
func parseServerHello(body []byte) (serverHello, bool) {
	var h serverHello
	var session, extensions cryptobyte.String
	s := cryptobyte.String(body)
	if !s.ReadUint16(&h.version) || !s.Skip(32) || !s.ReadUint8LengthPrefixed(&session) ||
		len(session) > 32 || !s.ReadUint16(&h.cipher) || !s.Skip(1) {
		return h, false
	}
	if !s.ReadUint16LengthPrefixed(&extensions) {
		return h, true
	}
	for !extensions.Empty() {
		var id uint16
		var body cryptobyte.String
		if !extensions.ReadUint16(&id) || !extensions.ReadUint16LengthPrefixed(&body) {
			break
		}
		switch id {
		case extALPN:
			var list, protocol cryptobyte.String
			if body.ReadUint16LengthPrefixed(&list) && list.ReadUint8LengthPrefixed(&protocol) {
				h.alpn = printable(string(protocol), MaxName)
			}
		case extTicket:
			h.ticket = true
		case extSupportedVersions:
			// RFC 8446 section 4.2.1: the real one, of 1.3 and later.
			body.ReadUint16(&h.version)
		}
	}
	return h, true
}

// A leafReader takes the first certificate out of a Certificate message that
// comes in pieces, and holds no more than that.
type leafReader struct {
	head [6]byte // lengths of the chain and of the leaf
	n    int     // bytes of head that are filled
	size int     // of the leaf, once head is full
	der  []byte
}

// maxLeaf bounds a certificate: those in use have below 8 KiB, post-quantum
// signatures and hundreds of names included, and crypto/tls takes a chain of
// 256 KiB.
const maxLeaf = 256 << 10

// feed takes the next piece of a message. It reports an error, which is a
// text for [probes.TLSFacts], when there can be no leaf.
func (l *leafReader) feed(b []byte) (problem string) {
	if l.n < len(l.head) {
		n := copy(l.head[l.n:], b)
		l.n += n
		b = b[n:]
		if l.n < len(l.head) {
			return ""
		}
		l.size = uint24(l.head[3:])
		if l.size > maxLeaf {
			return fmt.Sprintf("certificate of %d bytes", l.size)
		}
	}
	l.der = append(l.der, b[:min(len(b), l.size-len(l.der))]...)
	return ""
}

// leaf gives the certificate when it is whole.
func (l *leafReader) leaf() []byte {
	if l.size == 0 || len(l.der) < l.size {
		return nil
	}
	return l.der
}

func uint24(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }
