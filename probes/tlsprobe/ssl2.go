package tlsprobe

import (
	"golang.org/x/crypto/cryptobyte"

	"sonde/probes"
)

// Message types of SSL 2.0, whose one published text is Netscape's draft of
// 1995 (draft-hickman-netscape-ssl-00).
const (
	v2Error       = 0
	v2ServerHello = 4
)

// v2Errors are the words for its four errors, those of TLS where one means
// the same.
var v2Errors = map[uint16]string{
	1: "handshake failure", // no cipher in common
	2: "no certificate",
	4: "bad certificate",
	6: "unsupported certificate",
}

// A v2Reader reads the one record by which a server of SSL 2.0 answers: its
// SERVER-HELLO, which holds the certificate, or an error.
type v2Reader struct {
	size int    // of the record's rest after head
	data []byte // the record without its length
}

// newV2Reader reports whether the first bytes are those of such a record: a
// length of two bytes with the top bit set, the type, and for a SERVER-HELLO
// whether a session is resumed and the certificate's type (0 or X.509), for
// an error its code.
func newV2Reader(head [headerSize]byte) (*v2Reader, bool) {
	length := int(head[0]&0x7f)<<8 | int(head[1])
	// Type, hit, certificate's type, version, three lengths.
	const least = 11
	hello := head[2] == v2ServerHello && head[3] <= 1 && head[4] <= 1 && length >= least
	failure := head[2] == v2Error && length == 3 && head[3] == 0 && head[4] > 0 && head[4] <= 6
	if head[0]&0x80 == 0 || !hello && !failure {
		return nil, false
	}
	return &v2Reader{size: length - (headerSize - 2), data: append([]byte(nil), head[2:]...)}, true
}

// readV2 takes the next bytes of the record, which has at most 32 KiB.
func (r *Reader) readV2(b []byte) {
	v := r.v2
	v.data = append(v.data, b...)
	if r.left > 0 {
		return
	}
	if v.data[0] == v2Error {
		problem, ok := v2Errors[uint16(v.data[2])]
		if !ok {
			problem = "SSLv2 error"
		}
		r.fail(problem)
		return
	}
	if _, _, ok := v.parts(); !ok {
		r.fail("malformed server hello")
		return
	}
	r.finish()
}

// parts gives the certificate and the cipher specs of a SERVER-HELLO.
func (v *v2Reader) parts() (certificate, specs []byte, ok bool) {
	var version, certLength, specLength, idLength uint16
	s := cryptobyte.String(v.data)
	ok = s.Skip(3) && s.ReadUint16(&version) && s.ReadUint16(&certLength) &&
		s.ReadUint16(&specLength) && s.ReadUint16(&idLength) &&
		version == VersionSSL20 &&
		s.ReadBytes(&certificate, int(certLength)) &&
		s.ReadBytes(&specs, int(specLength)) && s.Skip(int(idLength))
	return certificate, specs, ok
}

func (v *v2Reader) leaf() []byte {
	certificate, _, _ := v.parts()
	if v.data[0] != v2ServerHello || len(certificate) == 0 {
		return nil
	}
	return certificate
}

// facts says what a SERVER-HELLO showed. The cipher is the first of those that
// the server would take; the client has the choice.
func (v *v2Reader) facts(facts *probes.TLSFacts) {
	facts.Version = VersionName(VersionSSL20)
	if v.data[0] != v2ServerHello {
		return
	}
	certificate, specs, _ := v.parts()
	if len(specs) >= 3 {
		facts.Cipher = v2CipherName(uint32(uint24(specs)))
	}
	if len(certificate) > 0 {
		facts.Certificate = Certificate(certificate)
	}
}
