package tlsprobe

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/cryptobyte"

	"sonde/probes"
)

// datagram is a record of DTLS 1.2 in clear.
func datagram(kind byte, body string) string {
	return string([]byte{kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, byte(len(body) >> 8), byte(len(body))}) + body
}

// piece is bytes from..to of a message.
func piece(kind byte, number uint16, body string, from, to int) string {
	var b cryptobyte.Builder
	b.AddUint8(kind)
	b.AddUint24(uint32(len(body)))
	b.AddUint16(number)
	b.AddUint24(uint32(from))
	b.AddUint24(uint32(to - from))
	b.AddBytes([]byte(body[from:to]))
	return string(b.BytesOrPanic())
}

const dtlsHelloBody = "\xfe\xfd" + identification + "\x00\xc0\x2b\x00"

// dtlsFlight is a server's, with the certificate in pieces of that size.
func dtlsFlight(t testing.TB, size int) []string {
	chain := certificates(boxDER(t), "another")[4:]
	out := []string{datagram(22, piece(typeServerHello, 1, dtlsHelloBody, 0, len(dtlsHelloBody)))}
	for from := 0; from < len(chain); from += size {
		out = append(out, datagram(22, piece(typeCertificate, 2, chain, from, min(from+size, len(chain)))))
	}
	key, asked := strings.Repeat("k", 90), "\x01\x01\x00\x02\x04\x03\x00\x00"
	return append(out,
		datagram(22, piece(typeServerKeyExchange, 3, key, 0, 40)),
		datagram(22, piece(typeServerKeyExchange, 3, key, 30, 90))+
			datagram(22, piece(typeCertificateRequest, 4, asked, 0, len(asked))+
				piece(typeServerHelloDone, 5, "", 0, 0)))
}

func wantDTLS(t testing.TB) Result {
	return Result{SpokeTLS: true, Whole: true, Facts: probes.TLSFacts{
		Version: "DTLS 1.2", Cipher: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
		Alert: NotContinued, Offered: "DTLS 1.2", ClientCert: ClientCertRequested,
		Certificate: Certificate([]byte(boxDER(t))),
	}}
}

func readDTLS(list ...string) Result {
	var r DTLSReader
	for _, d := range list {
		r.Feed([]byte(d))
	}
	return r.Result(os.ErrDeadlineExceeded)
}

// In any order, with repetitions, and in pieces of any size: the same result.
func TestDTLSFlightInAnyOrder(t *testing.T) {
	want := wantDTLS(t)
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{16, 17, 100, 400, 2000} {
		flight := dtlsFlight(t, size)
		for range 30 {
			if diff := cmp.Diff(want, readDTLS(flight...)); diff != "" {
				t.Fatalf("pieces of %d bytes: %s", size, diff)
			}
			random.Shuffle(len(flight), func(i, j int) { flight[i], flight[j] = flight[j], flight[i] })
			for range 3 {
				flight = append(flight, flight[random.IntN(len(flight))])
			}
			if len(flight) > maxDatagrams {
				flight = dtlsFlight(t, size)
			}
		}
	}
}

// When one datagram is lost the rest still counts, and nothing is claimed to
// be whole.
func TestDTLSWithLoss(t *testing.T) {
	flight := dtlsFlight(t, 200)
	for lost := range flight {
		list := append(append([]string(nil), flight[:lost]...), flight[lost+1:]...)
		got := readDTLS(list...)
		if got.Whole || got.Facts.Alert != "timeout" || !got.SpokeTLS {
			t.Errorf("without %d: %+v", lost, got)
		}
		if inCertificate := lost > 0 && lost < len(flight)-2; (got.Facts.Certificate == nil) != inCertificate {
			t.Errorf("without %d: certificate %+v", lost, got.Facts.Certificate)
		}
		if (got.Facts.Version == "") != (lost == 0) {
			t.Errorf("without %d: version %q", lost, got.Facts.Version)
		}
	}
	flight[0] = flight[0][:30] // a datagram that is cut is as good as lost
	if got := readDTLS(flight...); got.Facts.Version != "" || got.Whole {
		t.Errorf("cut hello: %+v", got)
	}
}

func TestDTLSAnswers(t *testing.T) {
	verify := "\xfe\xff\x04cook"
	tests := []struct {
		name, answer string
		spoke        bool
		alert        string
		cookie       string
	}{
		{"hello verify request", datagram(22, piece(typeHelloVerifyRequest, 0, verify, 0, len(verify))), true, "timeout", "cook"},
		{"cookie longer than its message", datagram(22, piece(typeHelloVerifyRequest, 0, "\xfe\xff\xffcook", 0, 7)), true, "timeout", ""},
		{"fatal alert", datagram(21, "\x02\x28"), true, "handshake failure", ""},
		{"version alert", datagram(21, "\x02\x46"), true, "protocol version not supported", ""},
		{"warning", datagram(21, "\x01\x70"), true, "timeout", ""},
		{"close_notify", datagram(21, "\x01\x00"), true, "closed", ""},
		{"text", "not DTLS at all, but long enough", false, "timeout", ""},
		{"empty", "", false, "timeout", ""},
		{"TLS", record(21, "\x02\x28"), false, "timeout", ""},
		{"encrypted", strings.Replace(datagram(21, "\x02\x28"), "\xfe\xfd\x00\x00", "\xfe\xfd\x00\x01", 1), false, "timeout", ""},
		{"record longer than the datagram", datagram(21, "\x02\x28")[:14], false, "timeout", ""},
		{"piece beyond its message", datagram(22, "\x02\x00\x00\x04\x00\x00\xff\xff\xfe\x00\x00\x04abcd"), false, "timeout", ""},
		{"message of 16 MiB", datagram(22, "\x0b\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x04abcd"), true, "timeout", ""},
		{"hello of another protocol", datagram(22, piece(2, 0, strings.Repeat("x", 40), 0, 40)), true, "malformed server hello", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r DTLSReader
			r.Feed([]byte(tt.answer))
			got := r.Result(os.ErrDeadlineExceeded)
			if got.SpokeTLS != tt.spoke || got.Facts.Alert != tt.alert || string(r.Cookie()) != tt.cookie {
				t.Errorf("%+v, cookie %q", got, r.Cookie())
			}
		})
	}
}

// A peer that sends without end, and pieces that leave holes, are bounded.
func TestDTLSBounds(t *testing.T) {
	var r DTLSReader
	body := strings.Repeat("x", maxAssembly)
	for i := 0; ; i++ {
		at := i * 4 % maxAssembly
		if r.Feed([]byte(datagram(22, piece(typeCertificate, 2, body, at, at+1)))) {
			break
		}
		if i > maxDatagrams {
			t.Fatal("never over")
		}
	}
	if got := r.Result(nil).Facts.Alert; got != "too much data in the handshake" {
		t.Errorf("alert %q", got)
	}
	m := r.flight[typeCertificate]
	if len(m.have) > maxSpans || cap(m.data) > 2*maxAssembly {
		t.Errorf("%d spans, %d bytes", len(m.have), cap(m.data))
	}
}

func TestDTLSEcho(t *testing.T) {
	first := DTLSClientHello([32]byte{})
	second, err := DTLSEcho(first, []byte("cook"))
	if err != nil {
		t.Fatal(err)
	}
	// After the headers: version, random, empty session, cookie, the rest.
	body, echo := string(first[25:]), string(second[25:])
	const fixed = 2 + 32 + 1
	if want := body[:fixed] + "\x04cook" + body[fixed+1:]; echo != want {
		t.Errorf("%q, want %q", echo, want)
	}
	if first[10] != 0 || second[10] != 1 || first[18] != 0 || second[18] != 1 {
		t.Error("numbers are not 0 and 1")
	}
	for name, bad := range map[string][]byte{
		"nothing": nil, "short": first[:30], "an echo": second, "TLS": ClientHello(Hello{Version: VersionSSL30}),
		"an alert": DTLSGoodbye(),
	} {
		if _, err := DTLSEcho(bad, []byte("cook")); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := DTLSEcho(first, make([]byte, 256)); err == nil {
		t.Error("cookie of 256 bytes: no error")
	}
}

func FuzzDTLSReader(f *testing.F) {
	for _, d := range dtlsFlight(f, 400) {
		f.Add([]byte(d), []byte(datagram(22, piece(3, 0, "\xfe\xff\x01c", 0, 4))))
	}
	f.Fuzz(func(t *testing.T, one, two []byte) {
		var r DTLSReader
		r.Feed(one)
		r.Feed(two)
		r.Feed(one)
		got := r.Result(os.ErrDeadlineExceeded)
		if got.Facts.Alert == "" || got.Facts.Alert != printable(got.Facts.Alert, MaxName) {
			t.Fatalf("alert %q", got.Facts.Alert)
		}
		if len(r.Cookie()) > 255 {
			t.Fatalf("cookie of %d bytes", len(r.Cookie()))
		}
		if echo, err := DTLSEcho(one, r.Cookie()); err == nil && len(echo) > len(one)+255 {
			t.Fatalf("echo of %d bytes", len(echo))
		}
	})
}
