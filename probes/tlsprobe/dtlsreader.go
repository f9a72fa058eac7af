package tlsprobe

import (
	"bytes"

	"golang.org/x/crypto/cryptobyte"
)

// maxDatagrams bounds one conversation: a flight of 64 KiB in pieces of 1 KiB,
// sent twice. What is beyond is not read.
const maxDatagrams = 128

// A DTLSReader reads what a server answers to a [DTLSClientHello] and to its
// [DTLSEcho]: DTLS 1.0 and 1.2 up to ServerHelloDone, DTLS 1.3 up to the
// ServerHello, and alerts. The zero DTLSReader is ready.
//
// Datagrams may come in any order, more than once, or not at all. It holds at
// most two messages of 64 KiB.
type DTLSReader struct {
	n       int // datagrams taken
	done    bool
	whole   bool
	spoke   bool
	problem string
	cookie  []byte
	flight  map[byte]*assembly // by type: a flight has at most one of each
	hello   *serverHello
}

// Feed takes the next datagram. It reports whether the reading is over.
func (r *DTLSReader) Feed(datagram []byte) (done bool) {
	if r.done {
		return true
	}
	if r.n++; r.n > maxDatagrams {
		r.fail("too much data in the handshake")
		return true
	}
	s := cryptobyte.String(datagram)
	for !r.done && r.record(&s) {
	}
	return r.done
}

func (r *DTLSReader) fail(problem string) { r.done, r.problem = true, problem }

// record takes the next record of a datagram. It reports false when there is
// none.
func (r *DTLSReader) record(s *cryptobyte.String) bool {
	var kind uint8
	var version, epoch uint16
	var number uint64
	var body cryptobyte.String
	if !s.ReadUint8(&kind) || !s.ReadUint16(&version) || !s.ReadUint16(&epoch) ||
		!s.ReadUint48(&number) || !s.ReadUint16LengthPrefixed(&body) || !isDTLS(version) {
		return false
	}
	switch {
	case epoch != 0 || len(body) == 0: // encrypted, or nothing
	case kind == recordAlert && len(body) == 2:
		r.spoke = true
		switch {
		case body[1] == alertCloseNotify:
			r.fail("closed")
		case body[0] != alertWarning:
			r.fail(alertName(body[1]))
		}
	case kind == recordHandshake:
		for !r.done && r.piece(&body) {
		}
	}
	return true
}

func isDTLS(version uint16) bool {
	switch version {
	case VersionDTLS10, VersionDTLS12, versionDTLSOld:
		return true
	}
	return false
}

// piece takes the next piece of a handshake message in a record.
func (r *DTLSReader) piece(s *cryptobyte.String) bool {
	var kind uint8
	var length, offset, size uint32
	var number uint16
	var body []byte
	if !s.ReadUint8(&kind) || !s.ReadUint24(&length) || !s.ReadUint16(&number) ||
		!s.ReadUint24(&offset) || !s.ReadUint24(&size) || !s.ReadBytes(&body, int(size)) ||
		offset+size > length {
		return false
	}
	r.spoke = true
	if kind == typeHelloVerifyRequest {
		r.verify(body)
		return true
	}
	m := r.flight[kind]
	if m == nil {
		if m = newAssembly(kind, number, int(length)); m == nil {
			return true
		}
		if r.flight == nil {
			r.flight = make(map[byte]*assembly)
		}
		r.flight[kind] = m
	}
	if m.number == number && m.length == int(length) {
		m.add(int(offset), body)
		r.look()
	}
	return true
}

// verify takes the cookie of a HelloVerifyRequest, which is never cut.
func (r *DTLSReader) verify(body []byte) {
	var cookie cryptobyte.String
	s := cryptobyte.String(body)
	if s.Skip(2) && s.ReadUint8LengthPrefixed(&cookie) && len(cookie) > 0 {
		r.cookie = bytes.Clone(cookie)
	}
}

// look sees whether the flight is complete: every message from the
// ServerHello to ServerHelloDone.
func (r *DTLSReader) look() {
	first := r.flight[typeServerHello]
	if first == nil || !first.complete() {
		return
	}
	if r.hello == nil {
		hello, ok := parseServerHello(first.data)
		if !ok || !isDTLS(hello.version) && hello.version != VersionDTLS13 {
			r.fail("malformed server hello")
			return
		}
		r.hello = &hello
	}
	if r.hello.version == VersionDTLS13 {
		r.finish() // what follows is encrypted
		return
	}
	last := r.flight[typeServerHelloDone]
	if last == nil || !last.complete() {
		return
	}
	between := 0
	for _, m := range r.flight {
		if m.complete() && m.number > first.number && m.number < last.number {
			between++
		}
	}
	if between == int(last.number)-int(first.number)-1 {
		r.finish()
	}
}

func (r *DTLSReader) finish() {
	r.whole = true
	r.fail(NotContinued)
}

// Cookie gives what the server wants to have back before it says more, the
// latest if it asked again, or nil.
func (r *DTLSReader) Cookie() []byte { return bytes.Clone(r.cookie) }

// Result gives what is known. If the reading was not over, end says what ended
// it: a system error or a deadline.
func (r *DTLSReader) Result(end error) Result {
	out := Result{SpokeTLS: r.spoke, Silent: r.n == 0, Whole: r.whole}
	out.Facts.Offered = VersionName(VersionDTLS12)
	out.Facts.Alert = r.problem
	if !r.done {
		out.Facts.Alert = cause(end)
	}
	if r.hello != nil {
		out.Facts.Version = VersionName(r.hello.version)
		out.Facts.Cipher = CipherName(r.hello.cipher)
		out.Facts.ALPN = r.hello.alpn
	}
	if m := r.flight[typeCertificate]; m != nil && m.complete() && m.leaf() != nil {
		out.Facts.Certificate = Certificate(m.leaf())
	}
	if m := r.flight[typeCertificateRequest]; m != nil && m.complete() {
		out.Facts.ClientCert = ClientCertRequested
	}
	return out
}
