//go:build integration || lab || bench

package probebench

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
)

// asked counts the probes of a conversation. What a protocol wants to hear at
// the end is no probe, nor is anything of a TLS handshake.
func (c *conversation) asked(goodbye []byte) int {
	flights := c.Flights
	if len(flights) > 0 && isHello(flights[0]) {
		var records []record
		for i, f := range flights {
			records = append(records, recordsOf(f, i)...)
		}
		return askedInside(records, len(goodbye))
	}
	if n := len(flights); n > 0 && len(goodbye) > 0 && bytes.Equal(flights[n-1], goodbye) {
		return n - 1
	}
	return len(flights)
}

// isHello tells whether a client speaks TLS.
func isHello(b []byte) bool { return len(b) > 5 && b[0] == handshakeRecord && b[1] == 3 }

// TLS record types (RFC 8446, section 5.1).
const (
	cipherRecord    = 20
	alertRecord     = 21
	handshakeRecord = 22
	dataRecord      = 23
)

type record struct {
	kind   byte
	length int
	flight int
}

func recordsOf(b []byte, flight int) []record {
	var out []record
	for len(b) >= 5 {
		n := int(binary.BigEndian.Uint16(b[3:]))
		out = append(out, record{b[0], n, flight})
		b = b[min(len(b), 5+n):]
	}
	return out
}

const (
	// sealed is what TLS 1.3 adds to what is inside a record: type and tag.
	sealed = 1 + 16
	// shortRecord is shorter than any hello, and longer than a Finished.
	shortRecord = 100
)

// askedInside counts the probes of a TLS client by the sizes of its records. In
// TLS 1.3 the end of the handshake and the closing alert look like data from
// outside: Finished is a hash of 32 or 48 bytes with a header of 4, an empty
// certificate has 8 bytes, an alert has 2. Before TLS 1.3 a short handshake
// record follows the change of the cipher; the hello that answers a
// HelloRetryRequest may stand there too, but is long.
func askedInside(records []record, goodbye int) int {
	after := records
	if i := slices.IndexFunc(records, func(r record) bool { return r.kind == cipherRecord }); i >= 0 {
		after = records[i:]
	}
	old := slices.ContainsFunc(after, func(r record) bool {
		return r.kind == handshakeRecord && r.length < shortRecord
	})
	var data []record
	var end record // the closing alert
	for _, r := range after {
		switch {
		case r.kind == alertRecord, r.kind == dataRecord && !old && r.length == 2+sealed:
			end = r
		case r.kind != dataRecord:
		case !old && len(data) == 0 && slices.Contains([]int{36 + sealed, 52 + sealed, 8 + sealed}, r.length):
		default:
			data = append(data, r)
		}
	}
	n := len(data)
	if n > 0 && goodbye > 0 && data[n-1].flight == end.flight { // nobody waited for an answer
		// The nonce of TLS 1.2's GCM adds 8 to the tag.
		if extra := data[n-1].length - goodbye; extra == sealed || old && (extra == 16 || extra == 24) {
			n--
		}
	}
	return n
}

func TestAsked(t *testing.T) {
	hello := []byte{22, 3, 1, 0, 2, 1, 0}
	rec := func(kind byte, n int) []byte {
		return append(binary.BigEndian.AppendUint16([]byte{kind, 3, 3}, uint16(n)), make([]byte, n)...)
	}
	for _, c := range []struct {
		name    string
		flights [][]byte
		bye     string
		want    int
	}{
		{"nothing", nil, "QUIT\r\n", 0},
		{"goodbye", [][]byte{[]byte("QUIT\r\n")}, "QUIT\r\n", 0},
		{"one probe", [][]byte{[]byte("HELP\r\n")}, "QUIT\r\n", 1},
		{"one probe, goodbye", [][]byte{[]byte("HELP\r\n"), []byte("QUIT\r\n")}, "QUIT\r\n", 1},
		{"two probes", [][]byte{[]byte("HELP\r\n"), []byte("HELO\r\n")}, "QUIT\r\n", 2},
		{"TLS 1.3, nothing inside", [][]byte{hello, slices.Concat(rec(20, 1), rec(23, 53), rec(23, 19))}, "", 0},
		{"TLS 1.3, one probe", [][]byte{hello, slices.Concat(rec(20, 1), rec(23, 69), rec(23, 35)), rec(23, 19)}, "", 1},
		{"TLS 1.3, probe, goodbye", [][]byte{hello, slices.Concat(rec(20, 1), rec(23, 69), rec(23, 35)),
			slices.Concat(rec(23, 23), rec(23, 19))}, "QUIT\r\n", 1},
		{"TLS 1.3, probe as long as a goodbye", [][]byte{hello, slices.Concat(rec(20, 1), rec(23, 69), rec(23, 23)), rec(23, 19)}, "QUIT\r\n", 1},
		{"TLS 1.3, another hello", [][]byte{hello, slices.Concat(rec(20, 1), rec(22, 300)), slices.Concat(rec(23, 53), rec(23, 19))}, "QUIT\r\n", 0},
		{"TLS 1.2, one probe", [][]byte{hello, slices.Concat(rec(22, 70), rec(20, 1), rec(22, 40)), rec(23, 53), rec(21, 26)}, "", 1},
	} {
		if got := (&conversation{Flights: c.flights}).asked([]byte(c.bye)); got != c.want {
			t.Errorf("%s: counted %d probes, want %d", c.name, got, c.want)
		}
	}
}
