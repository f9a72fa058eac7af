package tlsprobe

import (
	"bytes"
	"fmt"

	"sonde/probes"
)

// Record types (RFC 5246 section 6.2.1, RFC 8446 section 5.1).
const (
	recordChangeCipher = 20
	recordAlert        = 21
	recordHandshake    = 22
	recordData         = 23
)

// headerSize is that of a TLS record: type, version, length.
const headerSize = 5

// The limits of one conversation. Hitting one ends the reading, and the facts
// say so.
const (
	// maxRecord is the longest record of any version: 16 KiB and what
	// compression and encryption may add (RFC 5246 section 6.2.3).
	maxRecord = 1<<14 + 2048
	// maxRecords allows a flight of 256 KiB in records of 512 bytes, the
	// smallest size that a server can be made to use (RFC 6066 section 4),
	// twice.
	maxRecords = 1024
	// maxInput is the longest Certificate message, the longest
	// CertificateRequest (two lists of 64 KiB) and 128 KiB for the rest.
	maxInput = maxCertificates + 256<<10
	// maxCertificates bounds a Certificate message as crypto/tls does.
	maxCertificates = 256 << 10
	// maxServerHello leaves room for an extension of each kind; real ones
	// have about 100 bytes.
	maxServerHello = 16 << 10
	// maxSkipped bounds the messages that are not looked into: a
	// CertificateRequest may list authorities of 64 KiB beside its types.
	maxSkipped = 128 << 10
	// maxUseless bounds empty records, warnings and HelloRequests, as
	// crypto/tls does.
	maxUseless = 16
)

// NotContinued is the alert of facts that were read by hand up to the end of
// what a server says in clear: nothing failed, but there is no tunnel.
const NotContinued = "read in clear, not continued"

// ClientCertRequested is what [probes.TLSFacts] say of a server that asked for
// a client certificate.
const ClientCertRequested = "requested"

// A Reader reads what a server answers to a [ClientHello]: SSL 2.0 to TLS 1.2
// up to ServerHelloDone, TLS 1.3 up to the ServerHello, and alerts.
//
// What it makes of the bytes does not depend on how they are cut. It holds the
// server's first certificate and less than 16 KiB more; other certificates and
// keys are skipped. It is of no more use when Feed has reported the end.
type Reader struct {
	name, offered string // for the facts

	n       int  // bytes taken
	done    bool // nothing more is wanted
	whole   bool // done because the server's flight is complete
	spoke   bool
	problem string // how the reading ended, in words for TLSFacts.Alert

	head    [headerSize]byte
	nhead   int // bytes of head that are filled
	left    int // bytes of the record that are still to come
	records int
	useless int

	alert  []byte // the level, while the description is missing
	v2     *v2Reader
	shake  handshakeReader
	shaken bool // a ServerHello was read
	hello  serverHello
	cert   leafReader
	asked  bool // a CertificateRequest came
}

// NewReader gives a reader for the answer to that hello.
func NewReader(h Hello) *Reader {
	r := &Reader{offered: VersionName(h.Version)}
	if h.extended() {
		r.name = h.sentName()
	}
	return r
}

// Feed takes the next bytes. It reports whether the reading is over: all is
// known that can be, or the peer broke a rule or a limit. Bytes after that are
// ignored.
func (r *Reader) Feed(b []byte) (done bool) {
	for len(b) > 0 && !r.done {
		b = b[r.step(b):]
	}
	return r.done
}

// step takes some of b, at least one byte.
func (r *Reader) step(b []byte) int {
	if r.left == 0 {
		n := copy(r.head[r.nhead:], b)
		r.n += n
		if r.nhead += n; r.nhead == headerSize {
			r.nhead = 0
			r.begin()
		}
		return n
	}
	n := min(len(b), r.left)
	r.n += n
	r.left -= n
	switch {
	case r.v2 != nil:
		r.readV2(b[:n])
	case r.head[0] == recordAlert:
		r.readAlert(b[:n])
	default:
		r.readHandshake(b[:n])
	}
	return n
}

// begin looks at the header of a record.
func (r *Reader) begin() {
	length := int(r.head[3])<<8 | int(r.head[4])
	ours := r.head[0] == recordAlert || r.head[0] == recordHandshake
	sound := r.head[1] == 3 && length <= maxRecord
	if !r.spoke {
		r.first(ours && sound && r.head[2] <= 4 && length > 0)
		if r.done || r.v2 != nil {
			return
		}
	}
	r.records++
	switch {
	case !sound:
		r.fail("garbled record")
	case !ours:
		r.fail(fmt.Sprintf("unexpected record of type %d", r.head[0]))
	case r.n > maxInput || r.records > maxRecords:
		r.fail("too much data in the handshake")
	case length == 0:
		r.idle("empty records")
	default:
		r.left = length
	}
}

// first decides by the first bytes what is spoken.
func (r *Reader) first(tls bool) {
	switch v2, ok := newV2Reader(r.head); {
	case tls:
		r.spoke = true
	case ok:
		r.spoke, r.v2 = true, v2
		r.left = v2.size
		if r.left == 0 {
			r.readV2(nil)
		}
	default:
		r.fail("not TLS")
	}
}

// idle counts what is allowed but leads nowhere.
func (r *Reader) idle(what string) {
	if r.useless++; r.useless > maxUseless {
		r.fail("too many " + what)
	}
}

func (r *Reader) fail(problem string) { r.done, r.problem = true, problem }

func (r *Reader) readAlert(b []byte) {
	for _, c := range b {
		if r.alert == nil {
			r.alert = []byte{c}
			continue
		}
		level := r.alert[0]
		r.alert = nil
		switch {
		case c == alertCloseNotify:
			r.fail("closed")
		case level != alertWarning:
			r.fail(alertName(c))
		default:
			r.idle("warnings")
		}
		if r.done {
			return
		}
	}
}

// A Result is what was read of a server's side of a handshake.
type Result struct {
	Facts    probes.TLSFacts
	SpokeTLS bool // the first bytes were a record of TLS, or of SSL 2.0
	Silent   bool // there was not a byte
	// Whole says that the server said all that it says in clear. Facts.Alert
	// is NotContinued then.
	Whole bool
}

// Result gives what is known. If the reading was not over, end says what ended
// the connection (io.EOF, a system error, a deadline); nil is io.EOF.
func (r *Reader) Result(end error) Result {
	out := Result{SpokeTLS: r.spoke, Silent: r.n == 0, Whole: r.whole}
	out.Facts.Name, out.Facts.Offered = r.name, r.offered
	out.Facts.Alert = r.problem
	if !r.done {
		out.Facts.Alert = cause(end)
	}
	if r.v2 != nil {
		r.v2.facts(&out.Facts)
		return out
	}
	if r.shaken {
		out.Facts.Version = VersionName(r.hello.version)
		out.Facts.Cipher = CipherName(r.hello.cipher)
		out.Facts.ALPN = r.hello.alpn
	}
	if leaf := r.cert.leaf(); leaf != nil {
		out.Facts.Certificate = Certificate(leaf)
	}
	if r.asked {
		out.Facts.ClientCert = ClientCertRequested
	}
	return out
}

// Leaf gives the server's certificate as it came, or nil.
func (r *Reader) Leaf() []byte {
	if r.v2 != nil {
		return bytes.Clone(r.v2.leaf())
	}
	return bytes.Clone(r.cert.leaf())
}
