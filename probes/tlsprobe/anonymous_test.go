package tlsprobe

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"sonde/probes"
)

// group is the 1024-bit group of RFC 2409 section 6.2.
const group = "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD" +
	"EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED" +
	"EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF"

// An anonServer is the other side, of the same parts.
type anonServer struct {
	suite   anonSuite
	prime   []byte
	public  []byte // instead of the true one
	wrong   bool   // proof
	pieces  int    // bytes of the handshake in one record
	certify bool   // asks for a certificate
}

func (s anonServer) serve(c net.Conn) error {
	h := &anonHandshake{anonConn: &anonConn{Conn: c}, suite: s.suite}
	_, hello, err := h.message()
	if err != nil {
		return err
	}
	h.random = [2][]byte{hello[2:34], bytes.Repeat([]byte{7}, 32)}
	p, x := new(big.Int).SetBytes(s.prime), big.NewInt(0x123456789)
	public := s.public
	if public == nil {
		public = new(big.Int).Exp(big.NewInt(2), x, p).Bytes()
	}
	var flight []byte
	add := func(kind byte, body func(b *cryptobyte.Builder)) {
		b := cryptobyte.NewBuilder(nil)
		b.AddUint8(kind)
		b.AddUint24LengthPrefixed(body)
		flight = append(flight, b.BytesOrPanic()...)
	}
	add(typeServerHello, func(b *cryptobyte.Builder) {
		b.AddUint16(tls.VersionTLS12)
		b.AddBytes(h.random[1])
		b.AddUint8(0)
		b.AddUint16(s.suite.id)
		b.AddUint8(0)
	})
	add(typeServerKeyExchange, func(b *cryptobyte.Builder) {
		for _, field := range [][]byte{s.prime, {2}, public} {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(field) })
		}
	})
	if s.certify {
		add(typeCertificateRequest, func(b *cryptobyte.Builder) { b.AddUint32(0) })
	}
	add(typeServerHelloDone, func(*cryptobyte.Builder) {})
	h.transcript.Write(flight)
	for size := max(s.pieces, 1); len(flight) > 0; {
		n := min(size, len(flight))
		if err := h.write(recordHandshake, flight[:n]); err != nil {
			return err
		}
		flight = flight[n:]
	}
	_, theirs, err := h.message()
	if err != nil {
		return err
	}
	return s.finish(h, new(big.Int).Exp(new(big.Int).SetBytes(theirs[2:]), x, p).Bytes())
}

// finish proves, and echoes what comes then.
func (s anonServer) finish(h *anonHandshake, secret []byte) error {
	master := h.prf(secret, "master secret", 48, h.random[0], h.random[1])
	if kind, _, err := h.record(); err != nil || kind != recordChangeCipher {
		return errors.Join(err, errors.New("no change of the cipher"))
	}
	keys := h.prf(master, "key expansion", 2*s.suite.key+2*saltSize, h.random[1], h.random[0])
	in, out := h.arm(keys) // the other way round: what it arms is the client's
	if out != nil {
		return out
	}
	mine := in
	h.in, h.out = h.out, nil
	want := h.proof(master, "client finished")
	if _, got, err := h.message(); err != nil || !bytes.Equal(got, want) {
		return errors.Join(err, errors.New("wrong proof of the client"))
	}
	proof := h.proof(master, "server finished")
	if s.wrong {
		proof[0] ^= 1
	}
	if err := h.write(recordChangeCipher, []byte{1}); err != nil {
		return err
	}
	h.out = mine
	if err := h.write(recordHandshake, append([]byte{typeFinished, 0, 0, finishedSize}, proof...)); err != nil {
		return err
	}
	if err := h.write(recordData, nil); err != nil { // an empty record is legal
		return err
	}
	_, err := io.Copy(struct{ io.Writer }{h}, h)
	return errors.Join(err, h.CloseWrite())
}

func prime(t *testing.T) []byte {
	t.Helper()
	p, ok := new(big.Int).SetString(group, 16)
	if !ok {
		t.Fatal("no number")
	}
	return p.Bytes()
}

func TestAnonymous(t *testing.T) {
	for _, suite := range anonSuites {
		for _, pieces := range []int{1, 100, 1 << 12} {
			addr := serve(t, func(c net.Conn) {
				if err := (anonServer{suite: suite, prime: prime(t), pieces: pieces}).serve(c); err != nil {
					t.Errorf("server: %v", err)
				}
			})
			tunnel, facts, err := shake(t, addr, Config{Anonymous: true})
			if want := (probes.TLSFacts{Version: "TLS 1.2", Cipher: CipherName(suite.id)}); err != nil || facts != want {
				t.Fatalf("%+v, %v", facts, err)
			}
			text := strings.Repeat("hello, who is there? ", 2000) // three records
			go func() {
				_, err := io.WriteString(tunnel, text)
				if err := errors.Join(err, tunnel.CloseWrite()); err != nil {
					t.Error(err)
				}
			}()
			if got, err := io.ReadAll(tunnel); err != nil || string(got) != text {
				t.Errorf("%d bytes came back of %d: %v", len(got), len(text), err)
			}
		}
	}
}

func TestAnonymousRefuses(t *testing.T) {
	even := append(bytes.Repeat([]byte{0xff}, 127), 0xfe)
	for name, s := range map[string]anonServer{
		"group of 400 bits":              {prime: bytes.Repeat([]byte{0xff}, 50)},
		"group of 16384 bits":            {prime: bytes.Repeat([]byte{0xff}, 2048), public: []byte{9}},
		"group of 1024 bits":             {prime: even},
		"outside of its group":           {prime: prime(t), public: []byte{1}},
		"finished message is wrong":      {prime: prime(t), wrong: true},
		"server asks for a certificate":  {prime: prime(t), certify: true},
		"suite that was not offered":     {prime: prime(t), suite: anonSuite{0x0034, 16, anonSuites[1].hash}},
		"key exchange outside of its gr": {prime: prime(t), public: prime(t)},
	} {
		t.Run(name, func(t *testing.T) {
			if s.suite.key == 0 {
				s.suite = anonSuites[0]
			}
			s.pieces = 1 << 12
			addr := serve(t, func(c net.Conn) { s.serve(c) })
			tunnel, facts, err := shake(t, addr, Config{Anonymous: true})
			failed, ok := errors.AsType[*HandshakeError](err)
			if tunnel != nil || !ok || !failed.SpokeTLS || !strings.Contains(facts.Alert, name) {
				t.Errorf("%+v, %v", facts, err)
			}
		})
	}
}

// An alert inside the tunnel is told as crypto/tls tells it.
func TestAnonymousAlert(t *testing.T) {
	addr := serve(t, func(c net.Conn) { c.Write([]byte{recordAlert, 3, 3, 0, 2, 2, 40}) })
	_, facts, err := shake(t, addr, Config{Anonymous: true})
	if facts.Alert != "handshake failure" || Alert(err) != "handshake failure" {
		t.Errorf("%+v, %v", facts, err)
	}
}

// What a server says before keys are agreed on leads to an error or further,
// and never to a panic or a wait that its bytes do not end.
func FuzzAnonymous(f *testing.F) {
	f.Add([]byte{recordAlert, 3, 3, 0, 2, 2, 40})
	f.Add([]byte{recordHandshake, 3, 3, 0, 4, typeServerHello, 0, 0, 0})
	f.Add([]byte{recordChangeCipher, 3, 3, 0, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &oneSided{Reader: bytes.NewReader(b)}
		if tunnel, err := shakeAnonymously(c); err == nil {
			t.Fatalf("let in by %q: %v", b, tunnel)
		}
	})
}

// A oneSided connection says what it has to say whatever it hears.
type oneSided struct {
	*bytes.Reader
	net.Conn
}

func (c *oneSided) Read(b []byte) (int, error)       { return c.Reader.Read(b) }
func (c *oneSided) Write(b []byte) (int, error)      { return len(b), nil }
func (c *oneSided) SetReadDeadline(time.Time) error  { return nil }
func (c *oneSided) WriteTo(io.Writer) (int64, error) { return 0, io.EOF }
