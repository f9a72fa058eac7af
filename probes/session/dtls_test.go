package session

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
	"sonde/probes/tlsprobe"
)

// dtlsRecord is a record of DTLS 1.2 in clear, with one whole message in it if
// it is a handshake.
func dtlsRecord(kind byte, number uint16, message byte, body string) string {
	if kind == 22 {
		head := binary.BigEndian.AppendUint32(nil, uint32(message)<<24|uint32(len(body)))
		head = binary.BigEndian.AppendUint16(head, number)
		head = append(head, 0, 0, 0, 0)
		head = binary.BigEndian.AppendUint16(head, uint16(len(body)))
		body = string(head) + body
	}
	head := append([]byte{kind, 0xfe, 0xfd}, make([]byte, 7)...)
	head = append(head, byte(number))
	return string(binary.BigEndian.AppendUint16(head, uint16(len(body)))) + body
}

// dtlsFlight is what a server says in clear behind the cookie.
func dtlsFlight(der string) []string {
	entry := tlsMessage(0, der)[1:]
	return []string{
		dtlsRecord(22, 1, 2, "\xfe\xfd"+strings.Repeat("r", 32)+"\x00\xc0\x2f\x00"),
		dtlsRecord(22, 2, 11, tlsMessage(0, entry)[1:]+entry),
		dtlsRecord(22, 3, 14, ""),
	}
}

// dtlsDatabase asks at all ports; settled by a line, or not.
func dtlsDatabase(t *testing.T, line string) *probes.Database {
	t.Helper()
	var payload strings.Builder
	for _, b := range tlsprobe.DTLSClientHello([32]byte{}) {
		fmt.Fprintf(&payload, `\x%02x`, b)
	}
	db, err := probes.Load(probes.Source{Name: "test.probes", Data: []byte(
		"Probe UDP DTLSSessionReq q|" + payload.String() + "|\nports 1-65535\ntotalwaitms 900\n" + line + "\n")})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

const dtlsLine = `match dtls m|^[\x15\x16]\xfe[\xfd\xff]\x00\x00|`

func isGoodbye(request string) bool { return request == string(tlsprobe.DTLSGoodbye()) }

// A dtlsServer answers with a cookie first, and to an echo of it with a flight
// whose datagrams come in any order.
func dtlsServer(t *testing.T, heard *[]string, flight []string) *server {
	return serveUDP(t, func(n int, request string) []byte {
		*heard = append(*heard, request)
		switch {
		case isGoodbye(request):
			return nil
		case strings.Contains(request, "cook"):
			return []byte(strings.Join(flight, ""))
		}
		return []byte(dtlsRecord(22, 0, 3, "\xfe\xff\x04cook"))
	})
}

func TestDTLS(t *testing.T) {
	der := "not DER"
	for seed := range uint64(6) { // of three datagrams there are six orders
		synctest.Test(t, func(t *testing.T) {
			flight := dtlsFlight(der)
			rand.New(rand.NewPCG(seed, 0)).Shuffle(3, func(i, j int) { flight[i], flight[j] = flight[j], flight[i] })
			var heard []string
			s := dtlsServer(t, &heard, flight)
			known := Remembered{}
			p := newProber(t, s, dtlsDatabase(t, dtlsLine), quick())
			for range 2 { // the second time known
				synctest.Wait()
				heard = nil
				o := p.Visit(t.Context(), udpEndpoint(s), known)
				want := summary{probes.OutcomeAnswered, probes.Hard, "dtls", "", "", "DTLSSessionReq", "", probes.Open}
				if diff := cmp.Diff(want, summarize(o)); diff != "" {
					t.Error(diff)
				}
				facts := []probes.TLSFacts{{
					Version: "DTLS 1.2", Cipher: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
					Alert: tlsprobe.NotContinued, Offered: "DTLS 1.2",
					Certificate: tlsprobe.Certificate([]byte(der)),
				}}
				if diff := cmp.Diff(facts, o.TLS); diff != "" {
					t.Error(diff)
				}
				if o.Cost.Probes != 1 || o.Cost.Connections != 1 || o.Cost.Millis > 100 {
					t.Errorf("cost %+v", o.Cost)
				}
				synctest.Wait()
				if len(heard) != 3 || !strings.Contains(heard[1], "cook") || !isGoodbye(heard[2]) {
					t.Errorf("the server heard %q", heard)
				}
				known = Recall(&o)
			}
		})
	}
}

// What is no DTLS server is not taken for one, and not waited for.
func TestNotDTLS(t *testing.T) {
	for name, tt := range map[string]struct {
		line   string
		reply  func(request string) string
		facts  int
		within time.Duration
	}{
		"an echo":       {dtlsLine, func(r string) string { return r }, 0, 100 * time.Millisecond},
		"text":          {`match dtls m|^hello|`, func(string) string { return "hello" }, 0, 100 * time.Millisecond},
		"text, unknown": {`match other m|^other|`, func(string) string { return "hello" }, 0, time.Second},
		"an alert": {dtlsLine, func(string) string { return dtlsRecord(21, 0, 0, "\x02\x46") }, 1,
			100 * time.Millisecond},
		"unknown to the database": {`match other m|^other|`, func(string) string {
			return strings.Join(dtlsFlight("x"), "")
		}, 1, time.Second},
		"many cookies": {dtlsLine, func(string) string {
			return dtlsRecord(22, 0, 3, "\xfe\xff\x04cook")
		}, 1, dtlsWait + time.Second},
	} {
		bubble(t, name, func(t *testing.T) {
			hellos := 0
			s := serveUDP(t, func(_ int, r string) []byte {
				if isGoodbye(r) {
					return nil
				}
				hellos++
				return []byte(tt.reply(r))
			})
			o := newProber(t, s, dtlsDatabase(t, tt.line), DefaultSettings()).Visit(
				t.Context(), udpEndpoint(s), Remembered{})
			if len(o.TLS) != tt.facts || o.Outcome != probes.OutcomeAnswered || hellos > 2 {
				t.Errorf("%+v, facts %+v, %d hellos", summarize(o), o.TLS, hellos)
			}
			if took := time.Duration(o.Cost.Millis) * time.Millisecond; took > tt.within {
				t.Errorf("took %v, more than %v", took, tt.within)
			}
		})
	}
}

// The byte budget bounds a server that pours, and the identity stands.
func TestDTLSWithinTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		big := dtlsRecord(22, 1, 11, strings.Repeat("x", 1900))
		s := serveUDP(t, func(n int, r string) []byte {
			if n == 0 {
				return []byte(dtlsRecord(22, 0, 3, "\xfe\xff\x04cook"))
			}
			return []byte(big)
		})
		settings := quick()
		settings.MaxBytes, settings.MaxAnswer = 2<<10, 1<<10
		o := newProber(t, s, dtlsDatabase(t, dtlsLine), settings).Visit(t.Context(), udpEndpoint(s), Remembered{})
		if o.Service != "dtls" || o.Cost.BytesIn+o.Cost.BytesOut > settings.MaxBytes+len(tlsprobe.DTLSGoodbye()) {
			t.Errorf("%+v, cost %+v", summarize(o), o.Cost)
		}
		if !slices.Equal(o.Asked, []string{"DTLSSessionReq"}) {
			t.Errorf("asked %q", o.Asked)
		}
	})
}
