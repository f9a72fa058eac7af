package tlsprobe

import (
	"crypto/tls"

	"golang.org/x/crypto/cryptobyte"
)

// Handshake message types (RFC 8446 section 4, RFC 5246 section 7.4, RFC 6347
// section 4.2.2).
const (
	typeHelloRequest       = 0
	typeClientHello        = 1
	typeServerHello        = 2
	typeHelloVerifyRequest = 3
	typeCertificate        = 11
	typeServerKeyExchange  = 12
	typeCertificateRequest = 13
	typeServerHelloDone    = 14
	typeClientKeyExchange  = 16
	typeFinished           = 20
	typeCertificateStatus  = 22
	typeSupplementalData   = 23
)

// Extension numbers (RFC 6066, RFC 8422, RFC 5246, RFC 7301, RFC 5077, RFC 8446).
const (
	extServerName        = 0
	extGroups            = 10
	extPointFormats      = 11
	extSignatures        = 13
	extALPN              = 16
	extTicket            = 35
	extSupportedVersions = 43
)

// Hello says what a hello of our own offers.
type Hello struct {
	Version uint16   // the highest: VersionSSL20, VersionSSL30, or TLS 1.0 to 1.2
	Name    string   // sent as SNI unless empty or an address; TLS 1.2 only
	ALPN    []string // offered protocols; TLS 1.2 only
	Suites  []uint16 // nil: those that suit the version; not for SSL 2.0
	Random  [32]byte // any bytes; all zero: a text that says who asks
}

// identification stands in place of random bytes: what is read here needs no
// secrecy, and who looks at the traffic sees what it is.
const identification = "Sonde identification request, hi"

// ClientHello gives the bytes that begin a handshake by hand: the whole first
// flight in one record. The same hello has the same bytes.
//
// Up to TLS 1.1 it has no extensions, at which the oldest servers stumble, and
// with the built-in suites at most 255 bytes. For TLS 1.2 it stays below 512
// bytes with a name of up to 100, and below 700 with the longest; ALPN comes
// on top. TLS 1.3 is not offered: its servers hide the certificate.
func ClientHello(h Hello) []byte {
	if h.Random == [32]byte{} {
		copy(h.Random[:], identification)
	}
	if h.Version == VersionSSL20 {
		return v2Hello(h.Random)
	}
	const handshake = 22
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(handshake)
	b.AddUint16(min(h.Version, tls.VersionTLS10)) // RFC 5246 appendix E.1
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint8(typeClientHello)
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { addHello(b, h, false) })
	})
	return b.BytesOrPanic() // lengths are bounded: a name is cut at 253
}

// addHello writes the body of a ClientHello, for DTLS with an empty cookie.
func addHello(b *cryptobyte.Builder, h Hello, datagram bool) {
	b.AddUint16(h.Version)
	b.AddBytes(h.Random[:])
	b.AddUint8(0) // no session to resume
	if datagram {
		b.AddUint8(0)
	}
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, id := range h.suites() {
			b.AddUint16(id)
		}
	})
	b.AddBytes([]byte{1, 0}) // no compression
	if h.extended() || datagram {
		b.AddUint16LengthPrefixed(h.addExtensions)
	}
}

// extended reports whether the hello has extensions.
func (h Hello) extended() bool { return h.Version == tls.VersionTLS12 }

// sentName is the name as it is put into the hello.
func (h Hello) sentName() string {
	name := sentName(h.Name)
	return name[:min(len(name), maxHostName)]
}

func (h Hello) suites() []uint16 {
	switch {
	case h.Suites != nil:
		return h.Suites
	case h.extended():
		return wideSuites[:]
	}
	return bareSuites[:]
}

func (h Hello) addExtensions(b *cryptobyte.Builder) {
	if name := h.sentName(); name != "" {
		extension(b, extServerName, func(b *cryptobyte.Builder) {
			b.AddUint8(0) // host_name
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				b.AddBytes([]byte(name))
			})
		})
	}
	extension(b, extGroups, numbers(helloGroups[:]))
	b.AddUint16(extPointFormats)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte{3, 0, 1, 2}) })
	extension(b, extSignatures, numbers(helloSignatures[:]))
	if len(h.ALPN) == 0 {
		return
	}
	extension(b, extALPN, func(b *cryptobyte.Builder) {
		for _, p := range h.ALPN {
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
				b.AddBytes([]byte(p[:min(len(p), 255)]))
			})
		}
	})
}

// maxHostName is the longest DNS name (RFC 1035 section 3.1).
const maxHostName = 253

// extension adds an extension whose body is a list with a length of its own.
func extension(b *cryptobyte.Builder, id uint16, body func(*cryptobyte.Builder)) {
	b.AddUint16(id)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint16LengthPrefixed(body) })
}

func numbers(list []uint16) func(*cryptobyte.Builder) {
	return func(b *cryptobyte.Builder) {
		for _, n := range list {
			b.AddUint16(n)
		}
	}
}

// helloGroups are the NIST curves and X25519, the others in use (secp256k1,
// brainpool, secp192r1, secp224r1), GOST's and SM2's, and ffdhe2048.
var helloGroups = [...]uint16{
	0x0017, 0x0018, 0x0019, 0x001d, 0x001e, 0x0016, 0x001a, 0x001b, 0x001c, 0x0013, 0x0015,
	0x0022, 0x0023, 0x0029, 0x0100,
}

// helloSignatures are those of RFC 8446 section 4.2.3 with ECDSA, PSS, EdDSA
// and PKCS #1, the older with SHA-1, SHA-224, MD5 and DSA (RFC 5246 section
// 7.4.1.4.1), and GOST's (RFC 9189).
var helloSignatures = [...]uint16{
	0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b,
	0x0401, 0x0501, 0x0601, 0x0303, 0x0301, 0x0203, 0x0201, 0x0101, 0x0402, 0x0202,
	0x0840, 0x0841,
}

// v2Hello is a CLIENT-HELLO of SSL 2.0 alone: type, version, the lengths of
// specs, session and challenge, and these.
func v2Hello(random [32]byte) []byte {
	const challenge = 16
	length := 9 + 3*len(v2Suites) + challenge
	out := []byte{
		0x80, byte(length), 1, 0, VersionSSL20,
		0, byte(3 * len(v2Suites)), 0, 0, 0, challenge,
	}
	for _, s := range v2Suites {
		out = append(out, byte(s.id>>16), byte(s.id>>8), byte(s.id))
	}
	return append(out, random[:challenge]...)
}
