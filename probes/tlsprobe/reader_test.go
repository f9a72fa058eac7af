package tlsprobe

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
)

// A tape is the server's end of a connection on which the client said all it
// says at once.
type tape struct {
	net.Conn
	in  io.Reader
	out bytes.Buffer
}

func (t *tape) Read(b []byte) (int, error)  { return t.in.Read(b) }
func (t *tape) Write(b []byte) (int, error) { return t.out.Write(b) }
func (t *tape) Close() error                { return nil }

// flight is what a server of crypto/tls answers to a hello.
func flight(cfg *tls.Config, hello []byte) []byte {
	wire := &tape{in: bytes.NewReader(hello)}
	tls.Server(wire, cfg).Handshake() // it ends for want of a second flight
	return wire.out.Bytes()
}

// read feeds it all at once.
func read(answer string, end error) Result {
	r := NewReader(Hello{Version: tls.VersionTLS12})
	r.Feed([]byte(answer))
	return r.Result(end)
}

func record(kind byte, body string) string {
	return string([]byte{kind, 3, 3, byte(len(body) >> 8), byte(len(body))}) + body
}

func message(kind byte, body string) string {
	n := len(body)
	return string([]byte{kind, byte(n >> 16), byte(n >> 8), byte(n)}) + body
}

// hello of SSL 3.0 with RSA_WITH_RC4_128_MD5, and a session identifier.
var helloSSL30 = message(typeServerHello,
	"\x03\x00"+strings.Repeat("r", 32)+"\x04sess"+"\x00\x04"+"\x00")

func certificates(list ...string) string {
	chain := ""
	for _, c := range list {
		n := len(c)
		chain += string([]byte{byte(n >> 16), byte(n >> 8), byte(n)}) + c
	}
	n := len(chain)
	return message(typeCertificate, string([]byte{byte(n >> 16), byte(n >> 8), byte(n)})+chain)
}

func boxDER(t testing.TB) string {
	t.Helper()
	der, err := os.ReadFile("testdata/box.der")
	if err != nil {
		t.Fatal(err)
	}
	return string(der)
}

// The recorded answer of NSS 3.87, limited to SSL 3.0, to a hello of that.
func TestSSL30OfNSS(t *testing.T) {
	answer, err := os.ReadFile("testdata/ssl30-nss.bin")
	if err != nil {
		t.Fatal(err)
	}
	r := NewReader(Hello{Version: VersionSSL30})
	if !r.Feed(answer) {
		t.Error("not over")
	}
	got := r.Result(nil)
	if !got.Whole || got.Facts.Version != "SSLv3" || got.Facts.Cipher != "TLS_RSA_WITH_3DES_EDE_CBC_SHA" {
		t.Errorf("%+v", got)
	}
	if c := got.Facts.Certificate; c == nil || c.Subject != "CN=box.example,O=Box" || c.Key != "RSA 2048" {
		t.Errorf("certificate %+v", c)
	}
}

// What servers of SSL 3.0 may say, constructed by RFC 6101.
func TestSSL30(t *testing.T) {
	box := boxDER(t)
	done := message(typeServerHelloDone, "")
	tests := []struct {
		name, answer string
	}{
		{"a message per record", record(22, helloSSL30) + record(22, certificates(box, "chain")) + record(22, done)},
		{"one record", record(22, helloSSL30+certificates(box)+done)},
		{"messages cut at odd places", record(22, helloSSL30[:1]) + record(22, helloSSL30[1:]+certificates(box)[:7]) +
			record(22, certificates(box)[7:]+done[:3]) + record(22, done[3:])},
		{"key exchange and a warning", record(22, helloSSL30) + record(21, "\x01\x70") +
			record(22, certificates(box)+message(typeServerKeyExchange, "key")+done)},
	}
	want := Result{
		Facts: probes.TLSFacts{
			Version: "SSLv3", Cipher: "TLS_RSA_WITH_RC4_128_MD5", Alert: NotContinued,
			Offered: "SSLv3", Certificate: Certificate([]byte(box)),
		},
		SpokeTLS: true, Whole: true,
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := NewReader(Hello{Version: VersionSSL30, Name: "never sent"})
			if !r.Feed([]byte(tt.answer)) {
				t.Error("not over")
			}
			if diff := cmp.Diff(want, r.Result(nil)); diff != "" {
				t.Error(diff)
			}
			if string(r.Leaf()) != box {
				t.Error("another leaf")
			}
		})
	}
}

func v2Answer(body string) string {
	return string([]byte{0x80 | byte(len(body)>>8), byte(len(body))}) + body
}

// What a server of SSL 2.0 says, by Netscape's draft.
func TestSSL20(t *testing.T) {
	box := boxDER(t)
	hello := v2Answer("\x04\x00\x01\x00\x02" + string([]byte{byte(len(box) >> 8), byte(len(box))}) +
		"\x00\x06\x00\x10" + box + "\x01\x00\x80\x07\x00\xc0" + strings.Repeat("i", 16))
	tests := []struct {
		name, answer string
		want         Result
	}{
		{"server hello", hello, Result{SpokeTLS: true, Whole: true, Facts: probes.TLSFacts{
			Version: "SSLv2", Cipher: "SSL_CK_RC4_128_WITH_MD5", Alert: NotContinued,
			Certificate: Certificate([]byte(box)),
		}}},
		{"no cipher", v2Answer("\x00\x00\x01"), Result{SpokeTLS: true, Facts: probes.TLSFacts{
			Version: "SSLv2", Alert: "handshake failure",
		}}},
		{"error without a meaning", v2Answer("\x00\x00\x05"), Result{SpokeTLS: true, Facts: probes.TLSFacts{
			Version: "SSLv2", Alert: "SSLv2 error",
		}}},
		{"cut", hello[:40], Result{SpokeTLS: true, Facts: probes.TLSFacts{Version: "SSLv2", Alert: "closed"}}},
		{"lengths that lie", v2Answer("\x04\x00\x01\x00\x02\xff\xff\x00\x06\x00\x10" + box), Result{
			SpokeTLS: true, Facts: probes.TLSFacts{Version: "SSLv2", Alert: "malformed server hello"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := read(tt.answer, nil)
			tt.want.Facts.Offered = "TLS 1.2"
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Peers that break a rule, or a limit: each ends the reading with a name.
func TestHostilePeers(t *testing.T) {
	hello := record(22, helloSSL30)
	long := func(kind byte, length int) string {
		return hello + record(22, string([]byte{kind, byte(length >> 16), byte(length >> 8), byte(length)}))
	}
	chain := strings.Repeat("c", 60000)
	big := certificates(boxDER(t), chain, chain, chain, chain, chain)
	tests := []struct {
		name, answer, alert string
		notTLS, certificate bool
	}{
		{name: "HTTP", answer: "HTTP/1.1 400 Bad Request\r\n", alert: "not TLS", notTLS: true},
		{name: "SSH", answer: "SSH-2.0-OpenSSH_9.2p1\r\n", alert: "not TLS", notTLS: true},
		{name: "zeroes", answer: strings.Repeat("\x00", 64), alert: "not TLS", notTLS: true},
		{name: "high bytes", answer: strings.Repeat("\xff", 64), alert: "not TLS", notTLS: true},
		{name: "RFB", answer: "RFB 003.008\n", alert: "not TLS", notTLS: true},
		{name: "four bytes", answer: "\x16\x03\x01\x00", alert: "closed", notTLS: true},
		{name: "empty first record", answer: "\x16\x03\x01\x00\x00", alert: "not TLS", notTLS: true},
		{name: "record of 64 KiB", answer: hello + "\x16\x03\x03\xff\xff", alert: "garbled record"},
		{name: "text in the middle", answer: hello + "HTTP/1.1 500", alert: "garbled record"},
		{
			name: "application data", answer: hello + record(23, "x"),
			alert: "unexpected record of type 23",
		},
		{
			name: "empty records without end", answer: hello + strings.Repeat(record(22, ""), 100),
			alert: "too many empty records",
		},
		{
			name: "warnings without end", answer: strings.Repeat(record(21, "\x01\x70"), 100),
			alert: "too many warnings",
		},
		{
			name: "hello requests without end", answer: record(22, strings.Repeat(message(0, ""), 100)),
			alert: "too many hello requests",
		},
		{
			name: "a byte per record", answer: hello + record(22, certificates(chain)[:10]) + strings.Repeat(record(22, "c"), 5000),
			alert: "too much data in the handshake",
		},
		{
			name: "key exchanges without end", answer: hello +
				strings.Repeat(record(22, message(typeServerKeyExchange, strings.Repeat("k", 16000))), 100),
			alert: "too much data in the handshake",
		},
		{name: "message of 16 MiB", answer: long(typeServerKeyExchange, 1<<24-1), alert: "handshake message of 16777215 bytes"},
		{name: "done of 16 MiB", answer: long(typeServerHelloDone, 1<<24-1), alert: "handshake message of 16777215 bytes"},
		{
			name: "server hello of 1 MiB", answer: record(22, "\x02\x10\x00\x00"),
			alert: "handshake message of 1048576 bytes",
		},
		{
			name: "certificate of 1 MiB", answer: hello + record(22, "\x0b\x10\x00\x06\x10\x00\x03\x10\x00\x00"),
			alert: "certificate of 1048576 bytes",
		},
		{
			name: "chain of 300 KB", answer: hello + cutUp(big), certificate: true,
			alert: fmt.Sprintf("certificate message of %d bytes", len(big)-4),
		},
		{name: "empty chain, then nothing", answer: hello + record(22, certificates()), alert: "closed"},
		{
			name: "leaf longer than its message", answer: hello + record(22, message(typeCertificate, "\x00\x00\x09\x00\x01\x00abcdef")),
			alert: "malformed certificate message",
		},
		{name: "certificate first", answer: record(22, certificates("x")), alert: "unexpected handshake message of type 11"},
		{name: "two server hellos", answer: hello + hello, alert: "unexpected handshake message of type 2"},
		{name: "client hello", answer: record(22, message(1, "")), alert: "unexpected handshake message of type 1"},
		{name: "short server hello", answer: record(22, message(2, "\x03\x03")), alert: "malformed server hello"},
		{
			name: "version 7.7", answer: record(22, strings.Replace(helloSSL30, "\x03\x00", "\x07\x07", 1)),
			alert: "malformed server hello",
		},
		{name: "close_notify", answer: record(21, "\x01\x00"), alert: "closed"},
		{name: "alert in two records", answer: record(21, "\x02") + record(21, "\x28"), alert: "handshake failure"},
		{name: "alert of an odd level", answer: record(21, "\x09\x46"), alert: "protocol version not supported"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := read(tt.answer, nil)
			if got.Facts.Alert != tt.alert || got.SpokeTLS == tt.notTLS || got.Whole || got.Silent {
				t.Errorf("%+v, want %q", got, tt.alert)
			}
			if (got.Facts.Certificate != nil) != tt.certificate {
				t.Errorf("certificate %+v", got.Facts.Certificate)
			}
		})
	}
}

// cutUp puts messages into records of the greatest length.
func cutUp(messages string) (out string) {
	for len(messages) > 0 {
		n := min(len(messages), 1<<14)
		out += record(22, messages[:n])
		messages = messages[n:]
	}
	return out
}

func TestHowItEnded(t *testing.T) {
	for _, tt := range []struct {
		answer string
		end    error
		want   string
		silent bool
	}{
		{"", nil, "closed", true},
		{"", io.EOF, "closed", true},
		{"", &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, "reset", true},
		{"\x16", os.ErrDeadlineExceeded, "timeout", false},
		{record(22, helloSSL30), os.ErrDeadlineExceeded, "timeout", false},
		{record(21, "\x02\x28"), os.ErrDeadlineExceeded, "handshake failure", false},
	} {
		got := read(tt.answer, tt.end)
		if got.Facts.Alert != tt.want || got.Silent != tt.silent {
			t.Errorf("%q and %v: %+v", tt.answer, tt.end, got)
		}
	}
}

// flights are answers of crypto/tls of every version and kind.
func flights(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	many := newCertificate(t, ecdsaKey(t), func(c *x509.Certificate) {
		for i := range 900 { // a message of more than one record
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("host-%03d.box.example", i))
		}
	})
	many.Certificate = append(many.Certificate, many.Certificate[0])
	for name, cfg := range map[string]*tls.Config{
		"plain":       {Certificates: []tls.Certificate{newCertificate(t, rsaKey(t), nil)}},
		"many names":  {Certificates: []tls.Certificate{many}},
		"client cert": {Certificates: []tls.Certificate{many}, ClientAuth: tls.RequireAnyClientCert},
		"ALPN": {
			Certificates: []tls.Certificate{newCertificate(t, ecdsaKey(t), nil)},
			NextProtos:   []string{"h2"},
		},
		"no certificate": {GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }},
		"TLS 1.3 only":   {Certificates: []tls.Certificate{many}, MinVersion: tls.VersionTLS13},
	} {
		cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS10)
		hello := Hello{Version: tls.VersionTLS12, Name: "box.example", ALPN: []string{"h2"}}
		out[name] = flight(cfg, ClientHello(hello))
		if len(out[name]) == 0 {
			t.Fatalf("%s: no answer", name)
		}
	}
	return out
}

// However the bytes are cut, and wherever they end, the result is that of the
// same bytes at once.
func TestAnySegmentation(t *testing.T) {
	for name, answer := range flights(t) {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, uint64(len(answer))))
			step := 1 + len(answer)/700
			for end := 0; end <= len(answer); end += step {
				want := read(string(answer[:end]), io.EOF)
				r := NewReader(Hello{Version: tls.VersionTLS12})
				for rest := answer[:end]; len(rest) > 0; {
					n := 1 + random.IntN(min(len(rest), 1+random.IntN(400)))
					r.Feed(rest[:n])
					rest = rest[n:]
				}
				if diff := cmp.Diff(want, r.Result(io.EOF)); diff != "" {
					t.Fatalf("%d bytes: %s", end, diff)
				}
			}
		})
	}
}

// Of a flight that breaks off, the facts grow and never change.
func TestFlightTruncatedAtEachByte(t *testing.T) {
	answer := flights(t)["ALPN"]
	r := NewReader(Hello{Version: tls.VersionTLS12})
	last := r.Result(nil)
	for i := range answer {
		done := r.Feed(answer[i : i+1])
		got := r.Result(nil)
		if got.SpokeTLS != (i+1 >= headerSize) || done != (i+1 == len(answer)) {
			t.Fatalf("%d bytes: %+v, over %v", i+1, got, done)
		}
		if worth(got.Facts) < worth(last.Facts) || last.Facts.Cipher != "" && got.Facts.Cipher != last.Facts.Cipher {
			t.Fatalf("%d bytes: %+v after %+v", i+1, got, last)
		}
		last = got
	}
	if !last.Whole || last.Facts.ALPN != "h2" || last.Facts.Certificate == nil {
		t.Errorf("%+v", last)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(record(22, helloSSL30+certificates(boxDER(f))+message(14, ""))), uint8(7))
	f.Add([]byte(record(21, "\x02\x28")), uint8(1))
	f.Add([]byte(v2Answer("\x04\x00\x01\x00\x02\x00\x02\x00\x03\x00\x01ab\x01\x00\x80i")), uint8(3))
	f.Add([]byte("HTTP/1.1 400"), uint8(2))
	f.Fuzz(func(t *testing.T, answer []byte, cut uint8) {
		want := read(string(answer), nil)
		r := NewReader(Hello{Version: tls.VersionTLS12})
		for rest := answer; len(rest) > 0; {
			n := min(len(rest), 1+int(cut))
			r.Feed(rest[:n])
			rest = rest[n:]
		}
		if diff := cmp.Diff(want, r.Result(nil)); diff != "" {
			t.Fatal(diff)
		}
		if want.Facts.Alert == "" || want.Facts.Alert != printable(want.Facts.Alert, MaxName) {
			t.Fatalf("alert %q", want.Facts.Alert)
		}
		if len(r.Leaf()) > maxLeaf || cap(r.shake.body) > 2*maxServerHello {
			t.Fatalf("holds %d and %d bytes", len(r.Leaf()), cap(r.shake.body))
		}
	})
}
