package sshkey

import (
	"bytes"
	"crypto"
	"crypto/dsa" //nolint:staticcheck // old gear has such keys
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"sonde/probes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A server is one side of an SSH connection, and what it saw of the other.
type server struct {
	asked chan bool // that somebody wanted to log in
	end   chan error
}

// serve runs a server on one end of a connection and gives the other.
func serve(t *testing.T, cfg ssh.ServerConfig, keys ...ssh.Signer) (net.Conn, *server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { c.Close() })
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{make(chan bool, 1), make(chan error, 1)}
	cfg.NoClientAuth = true
	cfg.NoClientAuthCallback = func(ssh.ConnMetadata) (*ssh.Permissions, error) {
		s.asked <- true
		return nil, errors.New("nobody")
	}
	for _, k := range keys {
		cfg.AddHostKey(k)
	}
	go func() {
		_, _, _, err := ssh.NewServerConn(theirs, &cfg)
		theirs.Close()
		s.end <- err
	}()
	return kept{c}, s
}

// A kept connection stays open, so that the server can say what it likes to.
type kept struct{ net.Conn }

func (kept) Close() error { return nil }

func signer(t *testing.T, key crypto.Signer, err error) ssh.Signer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ed25519Key(t *testing.T) ssh.Signer {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	return signer(t, k, err)
}

func ecdsaKey(t *testing.T, c elliptic.Curve) ssh.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	return signer(t, k, err)
}

// rsaKey signs by the given algorithms alone.
func rsaKey(t *testing.T, bits int, algorithms ...string) ssh.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	s, err := ssh.NewSignerWithAlgorithms(signer(t, k, err).(ssh.AlgorithmSigner), algorithms)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func dsaKey(t *testing.T) ssh.Signer {
	t.Helper()
	k := new(dsa.PrivateKey)
	if err := dsa.GenerateParameters(&k.Parameters, rand.Reader, dsa.L1024N160); err != nil {
		t.Fatal(err)
	}
	if err := dsa.GenerateKey(k, rand.Reader); err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRead: of each server the key is read, what ssh-keygen would show of it, and
// the server sees us leave before anybody has logged in.
func TestRead(t *testing.T) {
	old := func(kex, cipher, mac string) ssh.Config {
		return ssh.Config{KeyExchanges: []string{kex}, Ciphers: []string{cipher}, MACs: []string{mac}}
	}
	ed := ed25519Key(t)
	p256 := ecdsaKey(t, elliptic.P256())
	for _, tt := range []struct {
		name  string
		cfg   ssh.Config
		keys  []ssh.Signer
		shows int // which of them
	}{
		{"Ed25519", ssh.Config{}, []ssh.Signer{ed}, 0},
		{"P-256", ssh.Config{}, []ssh.Signer{p256}, 0},
		{"P-384", ssh.Config{}, []ssh.Signer{ecdsaKey(t, elliptic.P384())}, 0},
		{"P-521", ssh.Config{}, []ssh.Signer{ecdsaKey(t, elliptic.P521())}, 0},
		{"RSA", ssh.Config{}, []ssh.Signer{rsaKey(t, 3072, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)}, 0},
		{"several, the best", ssh.Config{}, []ssh.Signer{rsaKey(t, 2048, ssh.KeyAlgoRSA), p256, ed}, 2},
		{"the same in another order", ssh.Config{}, []ssh.Signer{ed, p256}, 0},
		{"RSA with SHA-1, of 2010", old(ssh.InsecureKeyExchangeDH14SHA1, ssh.InsecureCipherAES128CBC, ssh.HMACSHA1),
			[]ssh.Signer{rsaKey(t, 1024, ssh.KeyAlgoRSA)}, 0},
		{"DSA, of 2000", old(ssh.InsecureKeyExchangeDH1SHA1, ssh.InsecureCipherTripleDESCBC, ssh.InsecureHMACSHA196),
			[]ssh.Signer{dsaKey(t)}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, s := serve(t, ssh.ServerConfig{Config: tt.cfg}, tt.keys...)
			key, err := Read(c)
			public := tt.keys[tt.shows].PublicKey()
			want := probes.SSHHostKey{Type: public.Type(), SHA256: strings.TrimPrefix(ssh.FingerprintSHA256(public), "SHA256:")}
			if err != nil || key != want {
				t.Errorf("%+v, %v; want %+v", key, err, want)
			}
			end := <-s.end
			if end == nil || !strings.Contains(end.Error(), "disconnect, reason 11") {
				t.Errorf("the server saw %v", end)
			}
			select {
			case <-s.asked:
				t.Error("somebody tried to log in")
			default:
			}
		})
	}
}

// A forger has a key of which it cannot sign.
type forger struct {
	ssh.Signer
	other ssh.Signer
}

func (f forger) Sign(r io.Reader, data []byte) (*ssh.Signature, error) { return f.other.Sign(r, data) }

// TestForgedKey: who shows the key of another machine is not believed.
func TestForgedKey(t *testing.T) {
	c, s := serve(t, ssh.ServerConfig{}, forger{ed25519Key(t), ed25519Key(t)})
	if key, err := Read(c); err == nil || key != (probes.SSHHostKey{}) {
		t.Errorf("%+v, %v", key, err)
	}
	_ = c.(kept).Conn.Close()
	<-s.end
}

// A played server says what it says, and hears nothing.
type played struct {
	net.Conn
	says io.Reader
}

func (p *played) Read(b []byte) (int, error)  { return p.says.Read(b) }
func (p *played) Write(b []byte) (int, error) { return len(b), nil }
func (p *played) Close() error                { return nil }
func (p *played) RemoteAddr() net.Addr        { return &net.TCPAddr{} }

// TestOddServers: none of them has a key, and none keeps us.
func TestOddServers(t *testing.T) {
	for name, says := range oddServers() {
		t.Run(name, func(t *testing.T) {
			key, err := Read(&played{says: strings.NewReader(says)})
			if err == nil || key != (probes.SSHHostKey{}) {
				t.Errorf("%+v, %v", key, err)
			}
		})
	}
}

func oddServers() map[string]string {
	const hello = "SSH-2.0-Box_1\r\n"
	packet := func(payload string) string {
		padding := 4 + 8 - (5+len(payload)+4)%8
		return string([]byte{0, 0, 0, byte(1 + len(payload) + padding), byte(padding)}) + payload +
			strings.Repeat("\x00", padding)
	}
	lists := string(ssh.Marshal(struct {
		Cookie                    [16]byte `sshtype:"20"`
		Kex, Keys, C1, C2, M1, M2 []string
		Z1, Z2, L1, L2            []string
		Follows                   bool
		Reserved                  uint32
	}{Kex: []string{ssh.KeyExchangeCurve25519}, Keys: []string{ssh.KeyAlgoED25519},
		C1: []string{ssh.CipherAES128CTR}, C2: []string{ssh.CipherAES128CTR},
		M1: []string{ssh.HMACSHA256}, M2: []string{ssh.HMACSHA256},
		Z1: []string{"none"}, Z2: []string{"none"}}))
	return map[string]string{
		"closes":          "",
		"SSH 1":           "SSH-1.5-Box\n",
		"talks":           strings.Repeat("welcome\r\n", 100_000),
		"has no line end": strings.Repeat("SSH-2.0-", 100_000),
		"says no more":    hello,
		"huge packet":     hello + "\xff\xff\xff\xff\x04",
		"empty packet":    hello + "\x00\x00\x00\x0c\x0b" + strings.Repeat("\x00", 11),
		"disconnects":     hello + packet("\x01\x00\x00\x00\x02\x00\x00\x00\x04full\x00\x00\x00\x00"),
		"no lists":        hello + packet("\x14short"),
		"stops":           hello + packet(lists),
		"no key":          hello + packet(lists) + packet("\x1f\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
		"new keys":        hello + packet(lists) + packet("\x15"),
	}
}

// FuzzRead: whatever a server says, there is an end, and no key without its
// signature.
func FuzzRead(f *testing.F) {
	for _, says := range oddServers() {
		if len(says) < 1000 {
			f.Add([]byte(says))
		}
	}
	f.Fuzz(func(t *testing.T, says []byte) {
		if key, err := Read(&played{says: bytes.NewReader(says)}); err == nil {
			t.Errorf("%+v", key)
		}
	})
}
