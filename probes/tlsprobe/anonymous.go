package tlsprobe

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"net"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// An anonSuite is a suite without certificates that [Handshake] knows: DH_anon
// with AES in GCM (RFC 5246 appendix A.5, RFC 5288). Daemons that make no
// certificate, as NRPE, speak nothing else to clients of today.
type anonSuite struct {
	id   uint16
	key  int // its length
	hash func() hash.Hash
}

var anonSuites = [...]anonSuite{
	{0x00a7, 32, sha512.New384},
	{0x00a6, 16, sha256.New},
}

// isAnonymous reports whether a suite of this name leads into a tunnel.
func isAnonymous(name string) bool {
	return slices.ContainsFunc(anonSuites[:], func(s anonSuite) bool { return CipherName(s.id) == name })
}

const (
	// A group below 512 bits was never one of TLS; OpenSSL takes up to 10,000
	// bits. The exponent has 256 bits, so that the longest costs some 20 ms.
	minGroup, maxGroup = 512, 8192

	// maxFlight bounds the messages of both sides.
	maxFlight = 64 << 10

	finishedSize = 12 // RFC 5246 section 7.4.9
)

// An anonHandshake is one on its way, by RFC 5246 section 7.3.
type anonHandshake struct {
	*anonConn
	suite      anonSuite
	random     [2][]byte // the client's and the server's
	transcript bytes.Buffer
	unread     []byte // of the handshake layer
}

// shakeAnonymously makes conn the inside of a tunnel without certificates.
func shakeAnonymously(conn net.Conn) (*anonConn, error) {
	h := &anonHandshake{anonConn: &anonConn{Conn: conn}}
	hello := ClientHello(Hello{Version: tls.VersionTLS12, Suites: []uint16{anonSuites[0].id, anonSuites[1].id}})
	if _, err := conn.Write(hello); err != nil {
		return nil, err
	}
	h.transcript.Write(hello[headerSize:]) // behind the head of the record
	h.random[0] = []byte(identification)
	if err := h.readHello(); err != nil {
		return nil, err
	}
	secret, public, err := h.readKey()
	if err != nil {
		return nil, err
	}
	for kind := byte(0); kind != typeServerHelloDone; {
		if kind, _, err = h.message(); err != nil {
			return nil, err
		}
		if kind == typeCertificateRequest {
			return nil, errors.New("anonymous server asks for a certificate")
		}
	}
	return h.anonConn, h.finish(secret, public)
}

// readHello takes the server's choice.
func (h *anonHandshake) readHello() error {
	kind, body, err := h.message()
	if err != nil {
		return err
	}
	hello, ok := parseServerHello(body)
	if kind != typeServerHello || !ok || hello.version != tls.VersionTLS12 {
		return errors.New("malformed server hello")
	}
	i := slices.IndexFunc(anonSuites[:], func(s anonSuite) bool { return s.id == hello.cipher })
	if i < 0 {
		return errors.New("server chose a suite that was not offered")
	}
	h.suite, h.random[1] = anonSuites[i], slices.Clone(body[2:34])
	return nil
}

// readKey takes the server's half of the key exchange (ServerDHParams), and
// gives the secret and our half.
func (h *anonHandshake) readKey() (secret, public []byte, err error) {
	kind, body, err := h.message()
	if err != nil {
		return nil, nil, err
	}
	var fields [3]cryptobyte.String
	s := cryptobyte.String(body)
	for i := range fields {
		if kind != typeServerKeyExchange || !s.ReadUint16LengthPrefixed(&fields[i]) {
			return nil, nil, errors.New("malformed server key exchange")
		}
	}
	p, g, y := new(big.Int).SetBytes(fields[0]), new(big.Int).SetBytes(fields[1]), new(big.Int).SetBytes(fields[2])
	one, top := big.NewInt(1), new(big.Int).Sub(p, big.NewInt(1))
	if n := p.BitLen(); n < minGroup || n > maxGroup || p.Bit(0) == 0 {
		return nil, nil, fmt.Errorf("group of %d bits", n)
	}
	if g.Cmp(one) <= 0 || g.Cmp(top) >= 0 || y.Cmp(one) <= 0 || y.Cmp(top) >= 0 {
		return nil, nil, errors.New("key exchange outside of its group")
	}
	exponent := make([]byte, 32)
	if _, err := rand.Read(exponent); err != nil {
		return nil, nil, err
	}
	x := new(big.Int).SetBytes(exponent)
	public = new(big.Int).Exp(g, x, p).FillBytes(make([]byte, len(p.Bytes())))
	return new(big.Int).Exp(y, x, p).Bytes(), public, nil // RFC 5246 section 8.1.2: without leading zeros
}

// finish sends our half, and proves on both sides that all was understood.
func (h *anonHandshake) finish(secret, public []byte) error {
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(typeClientKeyExchange)
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(public) })
	})
	exchange := b.BytesOrPanic() // at most maxGroup bits
	h.transcript.Write(exchange)
	if err := h.write(recordHandshake, exchange); err != nil {
		return err
	}
	if err := h.write(recordChangeCipher, []byte{1}); err != nil {
		return err
	}
	master := h.prf(secret, "master secret", 48, h.random[0], h.random[1])
	in, err := h.arm(h.prf(master, "key expansion", 2*h.suite.key+2*saltSize, h.random[1], h.random[0]))
	if err != nil {
		return err
	}
	proof := append([]byte{typeFinished, 0, 0, finishedSize}, h.proof(master, "client finished")...)
	h.transcript.Write(proof)
	if err := h.write(recordHandshake, proof); err != nil {
		return err
	}
	return h.readFinished(master, in)
}

// arm protects what we write from now on, and gives what unprotects the peer's.
func (h *anonHandshake) arm(keys []byte) (in *half, err error) {
	n := h.suite.key
	ours, theirs := keys[2*n:2*n+saltSize], keys[2*n+saltSize:]
	if h.out, err = newHalf(keys[:n], ours); err != nil {
		return nil, err
	}
	return newHalf(keys[n:2*n], theirs)
}

// readFinished takes the server's proof, behind its change to the new keys.
func (h *anonHandshake) readFinished(master []byte, in *half) error {
	kind, _, err := h.record()
	switch {
	case err != nil:
		return err
	case kind != recordChangeCipher || len(h.unread) > 0:
		return errors.New("no change of the cipher")
	}
	want := h.proof(master, "server finished")
	h.in = in
	kind, body, err := h.message()
	if err != nil {
		return err
	}
	if kind != typeFinished || !hmac.Equal(body, want) {
		return errors.New("finished message is wrong")
	}
	return nil
}

// proof is what a Finished message holds.
func (h *anonHandshake) proof(master []byte, label string) []byte {
	sum := h.suite.hash()
	sum.Write(h.transcript.Bytes())
	return h.prf(master, label, finishedSize, sum.Sum(nil))
}

// prf is RFC 5246 section 5.
func (h *anonHandshake) prf(secret []byte, label string, n int, seeds ...[]byte) []byte {
	seed := slices.Concat(append([][]byte{[]byte(label)}, seeds...)...)
	mac := hmac.New(h.suite.hash, secret)
	sum := func(parts ...[]byte) []byte {
		mac.Reset()
		for _, p := range parts {
			mac.Write(p)
		}
		return mac.Sum(nil)
	}
	var out []byte
	for a := sum(seed); len(out) < n; a = sum(a) {
		out = append(out, sum(a, seed)...)
	}
	return out[:n]
}

// message reads one handshake message, of one or several records.
func (h *anonHandshake) message() (kind byte, body []byte, err error) {
	for {
		if b := h.unread; len(b) >= 4 && len(b)-4 >= uint24(b[1:]) {
			n := 4 + uint24(b[1:])
			h.unread = b[n:]
			h.transcript.Write(b[:n])
			if h.transcript.Len() > maxFlight {
				return 0, nil, errors.New("handshake without end")
			}
			return b[0], b[4:n], nil
		}
		kind, fragment, err := h.record()
		switch {
		case err != nil:
			return 0, nil, err
		case kind != recordHandshake || len(fragment) == 0 || len(h.unread) > maxFlight:
			return 0, nil, fmt.Errorf("unexpected record of type %d", kind)
		}
		h.unread = append(h.unread, fragment...)
	}
}
