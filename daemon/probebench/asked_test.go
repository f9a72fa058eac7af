//go:build integration || lab || bench

package probebench

import (
	"encoding/binary"
	"slices"
	"testing"
)

// said counts what a client said in a conversation: its probes, and what the
// protocol wants to hear at the end. What belongs to a TLS handshake is neither,
// nor is the alert that closes a tunnel.
func (c *conversation) said() int {
	if len(c.Flights) == 0 || !isHello(c.Flights[0]) {
		return len(c.Flights)
	}
	var records []record
	for _, f := range c.Flights {
		records = append(records, recordsOf(f)...)
	}
	return saidInside(records)
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
}

func recordsOf(b []byte) []record {
	var out []record
	for len(b) >= 5 {
		n := int(binary.BigEndian.Uint16(b[3:]))
		out = append(out, record{b[0], n})
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

// saidInside counts what a TLS client said by the kinds and sizes of its
// records. In TLS 1.3 the end of the handshake and the closing alert look like
// data from outside: Finished is a hash of 32 or 48 bytes with a header of 4, an
// empty certificate has 8 bytes, an alert has 2. Before TLS 1.3 a short
// handshake record follows the change of the cipher; the hello that answers a
// HelloRetryRequest may stand there too, but is long.
func saidInside(records []record) int {
	after := records
	if i := slices.IndexFunc(records, func(r record) bool { return r.kind == cipherRecord }); i >= 0 {
		after = records[i:]
	}
	old := slices.ContainsFunc(after, func(r record) bool {
		return r.kind == handshakeRecord && r.length < shortRecord
	})
	n := 0
	for i, r := range after {
		switch {
		case r.kind != dataRecord:
		case !old && i == len(after)-1 && r.length == 2+sealed: // the closing alert
		case !old && n == 0 && slices.Contains([]int{36 + sealed, 52 + sealed, 8 + sealed}, r.length):
		default:
			n++
		}
	}
	return n
}

func TestSaid(t *testing.T) {
	hello := []byte{22, 3, 1, 0, 2, 1, 0}
	rec := func(kind byte, n int) []byte {
		return append(binary.BigEndian.AppendUint16([]byte{kind, 3, 3}, uint16(n)), make([]byte, n)...)
	}
	for _, c := range []struct {
		name    string
		flights [][]byte
		want    int
	}{
		{"nothing", nil, 0},
		{"goodbye", [][]byte{[]byte("QUIT\r\n")}, 1},
		{"one probe, goodbye", [][]byte{[]byte("HELP\r\n"), []byte("QUIT\r\n")}, 2},
		{"TLS 1.3, nothing inside", [][]byte{hello, slices.Concat(rec(20, 1), rec(23, 53), rec(23, 19))}, 0},
		{"TLS 1.3, one probe", [][]byte{hello, slices.Concat(rec(20, 1), rec(23, 69), rec(23, 35)), rec(23, 19)}, 1},
		{"TLS 1.3, probe, goodbye", [][]byte{hello, slices.Concat(rec(20, 1), rec(23, 69), rec(23, 35)),
			slices.Concat(rec(23, 23), rec(23, 19))}, 2},
		{"TLS 1.3, an answer between goodbye and alert", [][]byte{hello,
			slices.Concat(rec(20, 1), rec(23, 53), rec(23, 35)), rec(23, 24), rec(23, 19)}, 2},
		{"TLS 1.3, a goodbye as short as an alert", [][]byte{hello,
			slices.Concat(rec(20, 1), rec(23, 69), rec(23, 35)), slices.Concat(rec(23, 19), rec(23, 19))}, 2},
		{"TLS 1.3, another hello", [][]byte{hello, slices.Concat(rec(20, 1), rec(22, 300)), slices.Concat(rec(23, 53), rec(23, 19))}, 0},
		{"TLS 1.2, one probe", [][]byte{hello, slices.Concat(rec(22, 70), rec(20, 1), rec(22, 40)), rec(23, 53), rec(21, 26)}, 1},
		{"TLS 1.2 resumed, one probe", [][]byte{hello, slices.Concat(rec(20, 1), rec(22, 40), rec(23, 53)), rec(21, 26)}, 1},
	} {
		if got := (&conversation{Flights: c.flights}).said(); got != c.want {
			t.Errorf("%s: counted %d, want %d", c.name, got, c.want)
		}
	}
}
