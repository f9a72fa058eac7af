package session

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	testLimit  = 64
	testSettle = 400 * time.Millisecond
)

// at is a moment of a scripted conversation.
func at(ms int) time.Time { return time.UnixMilli(int64(ms)) }

// A read is what one read brought.
type read struct {
	ms   int // after the start
	data string
}

func TestAnswerEnds(t *testing.T) {
	const deadline = 2000
	page := "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	tests := []struct {
		name   string
		ends   endFunc
		reads  []read
		closed int // ms at which the peer closed; 0: never
		want   string
		end    ending
		wantMS int // when it was final
	}{
		{name: "nothing", end: growing, wantMS: deadline},
		{name: "closed without a byte", closed: 30, end: closed, wantMS: 30},
		{
			name: "settles", reads: []read{{10, "ab"}, {300, "cd"}},
			want: "abcd", end: settled, wantMS: 700,
		},
		{
			name: "gap above the settle time", reads: []read{{10, "ab"}, {500, "cd"}},
			want: "ab", end: settled, wantMS: 410,
		},
		{
			name: "close before it settles", reads: []read{{10, "ab"}}, closed: 100,
			want: "ab", end: closed, wantMS: 100,
		},
		{
			name: "byte limit in the middle of a read", reads: []read{{5, strings.Repeat("x", 100)}},
			want: strings.Repeat("x", testLimit), end: full, wantMS: 5,
		},
		{
			name: "time runs out in the middle",
			reads: []read{
				{300, "a"}, {600, "b"}, {900, "c"}, {1200, "d"}, {1500, "e"}, {1800, "f"},
			},
			want: "abcdef", end: cutShort, wantMS: deadline,
		},
		{
			name: "settles exactly when time runs out", reads: []read{{1600, "a"}},
			want: "a", end: settled, wantMS: deadline,
		},
		{
			name: "page proven", ends: httpEnd, reads: []read{{1, page[:20]}, {2, page[20:]}},
			want: page, end: proven, wantMS: 2,
		},
		{
			name: "bytes behind a page are cut off", ends: httpEnd, reads: []read{{1, page + "more"}},
			want: page, end: proven, wantMS: 1,
		},
		{
			name: "greeting proven", ends: greetingEnd, reads: []read{{1, "220-a\r\n220 b\r\n"}},
			want: "220-a\r\n220 b\r\n", end: proven, wantMS: 1,
		},
		{
			name: "announced lines are waited for", ends: greetingEnd, reads: []read{{1, "220-a\r\n"}},
			want: "220-a\r\n", end: settled, wantMS: deadline,
		},
		{
			name: "rest of a page is waited for", ends: httpEnd, reads: []read{{1, page[:40]}, {1500, page[40:]}},
			want: page, end: proven, wantMS: 1500,
		},
		{
			name: "page that is shorter than it says", ends: httpEnd, reads: []read{{1, page[:len(page)-3]}},
			want: page[:len(page)-3], end: settled, wantMS: deadline,
		},
		{
			name: "rest of a bulk string is waited for", ends: responseEnd,
			reads: []read{{1, "$1"}, {200, "2\r\nhello"}, {1000, " world!\r\n"}, {1100, "+PONG\r\n"}},
			want:  "$12\r\nhello world!\r\n+PONG\r\n", end: settled, wantMS: 1100 + int(testSettle/time.Millisecond),
		},
		{
			name: "rest of counted statistics is waited for", ends: responseEnd,
			reads: []read{{1, "OK 6\r\nab"}, {1000, "cdef\r\n"}},
			want:  "OK 6\r\nabcdef\r\n", end: settled, wantMS: 1000 + int(testSettle/time.Millisecond),
		},
		{
			name: "rest of an RPC record is waited for", ends: responseEnd,
			reads: []read{{1, "\x80\x00"}, {500, "\x00\x04ab"}, {1000, "cd"}},
			want:  "\x80\x00\x00\x04abcd", end: settled, wantMS: 1000 + int(testSettle/time.Millisecond),
		},
		{
			name: "rest of a TPKT is waited for", ends: responseEnd,
			reads: []read{{1, "\x03\x00\x00\x09\x02"}, {1000, "\xf0\x80!\x80"}},
			want:  "\x03\x00\x00\x09\x02\xf0\x80!\x80", end: settled, wantMS: 1000 + int(testSettle/time.Millisecond),
		},
		{
			name: "a plain OK has no rest", ends: responseEnd, reads: []read{{1, "OK\r\n"}},
			want: "OK\r\n", end: settled, wantMS: 1 + int(testSettle/time.Millisecond),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := &answer{limit: testLimit, settle: testSettle, ends: tt.ends}
			got := play(a, tt.reads, tt.closed, deadline)
			if string(a.buf) != tt.want || a.end != tt.end || got != tt.wantMS {
				t.Errorf("%q, end %d at %d ms; want %q, %d at %d",
					a.buf, a.end, got, tt.want, tt.end, tt.wantMS)
			}
		})
	}
}

// play runs a conversation as a connection's reader does, and gives the time
// at which the answer was final.
func play(a *answer, reads []read, closedMS, deadlineMS int) int {
	deadline := at(deadlineMS)
	for {
		wake := a.wake(deadline, deadline)
		switch {
		case len(reads) > 0 && at(reads[0].ms).Before(wake):
			a.add(at(reads[0].ms), []byte(reads[0].data))
			if a.final() {
				return reads[0].ms
			}
			reads = reads[1:]
		case len(reads) == 0 && closedMS > 0 && at(closedMS).Before(wake):
			a.finish(closed)
			return closedMS
		case wake.Before(deadline):
			a.tick(wake)
			return int(wake.UnixMilli())
		default:
			a.expire(deadline)
			return deadlineMS
		}
	}
}

var endings = []struct {
	name string
	ends endFunc
	data string
	n    int // -1: no end
}{
	{"SSH", greetingEnd, "SSH-2.0-OpenSSH_9.2p1\r\n", 23},
	{"SSH and key exchange", greetingEnd, "SSH-2.0-x\r\n\x00\x00\x01\x14", 11},
	{"SSH without a line end", greetingEnd, "SSH-2.0-x", -1},
	{"reply", greetingEnd, "220 box ESMTP\r\n", 15},
	{"reply of many lines", greetingEnd, "220-a\r\n free\r\n221 no\r\n220 b\r\nmore", 29},
	{"reply not at an end", greetingEnd, "220-a\r\n220-b\r\n", -1},
	{"bare code", greetingEnd, "220\r\n", -1},
	{"no reply code", greetingEnd, "999 a\r\n", -1},
	{"IMAP", greetingEnd, "* OK ready\r\n", -1},
	{"empty lines", greetingEnd, "\n\n\n\n", -1},
	{"page", httpEnd, "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nabc", 40},
	{"page with bare line feeds", httpEnd, "HTTP/1.0 200 OK\nContent-Length: 2\n\nabc", 37},
	{"page without a length", httpEnd, "HTTP/1.0 200 OK\r\n\r\nabc", -1},
	{"no content", httpEnd, "HTTP/1.1 204 No Content\r\nServer: x\r\n\r\nabc", 38},
	{"interim response", httpEnd,
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 63},
	{"upgrade", httpEnd, "HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x00", -1},
	{"chunks", httpEnd,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\nmore",
		79},
	{"chunks with a trailer", httpEnd,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\nSum: 1\r\n\r\n", 66},
	{"chunks go before length", httpEnd,
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 77},
	{"chunk size of nonsense", httpEnd,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n", -1},
	{"chunk size beyond reason", httpEnd,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc\r\n0\r\n\r\n", -1},
	{"lengths that contradict", httpEnd,
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nabc", -1},
	{"negative length", httpEnd, "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc", -1},
	{"huge length", httpEnd, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nabc", -1},
	{"bulk string, which more may follow", responseEnd, "$5\r\nhello\r\n", -1},
	{"no HTTP", httpEnd, "RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", -1},
}

func TestEnds(t *testing.T) {
	for _, tt := range endings {
		t.Run(tt.name, func(t *testing.T) {
			if n, _ := tt.ends([]byte(tt.data)); n != tt.n {
				t.Errorf("end at %d, want %d", n, tt.n)
			}
			checkPrefixes(t, tt.ends, []byte(tt.data))
		})
	}
}

// checkPrefixes proves that ends is a function of the stream and not of its
// cuts: below the end no prefix has one, from there on each has the same.
func checkPrefixes(t *testing.T, ends endFunc, data []byte) {
	t.Helper()
	whole, _ := ends(data)
	need := 0
	for size := 1; size <= len(data); size++ {
		n, next := ends(data[:size])
		switch {
		case n > size:
			t.Fatalf("end %d beyond the %d bytes seen", n, size)
		case n >= 0 && n != whole:
			t.Fatalf("end %d after %d bytes, %d after all", n, size, whole)
		case n < 0 && whole >= 0 && size >= whole:
			t.Fatalf("no end after %d bytes, %d after all", size, whole)
		case n >= 0 && size < need:
			t.Fatalf("end found at %d bytes, but need said %d", size, need)
		}
		if n < 0 && size >= need {
			if next <= size {
				t.Fatalf("need %d after %d bytes asks for nothing new", next, size)
			}
			need = next
		}
	}
}

// The same bytes in any segments, with gaps below the settle time, give the
// same answer.
func TestCutsDoNotMatter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, tt := range endings {
		if tt.data == "" {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			want := &answer{limit: testLimit, settle: testSettle, ends: tt.ends}
			play(want, []read{{1, tt.data}}, 0, 1_000_000)
			for range 200 {
				got := &answer{limit: testLimit, settle: testSettle, ends: tt.ends}
				reads := cut(rng, tt.data)
				play(got, reads, 0, 1_000_000)
				if diff := cmp.Diff(string(want.buf), string(got.buf)); diff != "" || want.end != got.end {
					t.Fatalf("%v: end %d, want %d: %s", reads, got.end, want.end, diff)
				}
			}
		})
	}
}

func cut(rng *rand.Rand, data string) []read {
	var reads []read
	for ms := 0; data != ""; {
		n := 1 + rng.IntN(len(data))
		ms += rng.IntN(int(testSettle / time.Millisecond))
		reads = append(reads, read{ms, data[:n]})
		data = data[n:]
	}
	return reads
}

func TestIsGreeting(t *testing.T) {
	tests := []struct {
		data string
		want bool
	}{
		{"220 ready\r\n", true},
		{"220-more\r\n220 ready\r\n", true},
		{"220 one\r\n220 two\r\n", true},
		{"SSH-2.0-x\r\n", true},
		{"", false},
		{"220 rea", false},
		{"220-more\r\n", false},
		{"220 ready\r\n214 help\r\n", false}, // an answer behind it
		{"SSH-2.0-x\r\n\x00\x00", false},
		{"250-PROTOCOLINFO 1\r\n250 OK\r\n", false}, // an answer
		{"500 what\r\n", false},                     // a refusal: the server has spoken
		{"HTTP/1.0 200 OK\r\n\r\n", false},
	}
	for _, tt := range tests {
		if got := isGreeting([]byte(tt.data)); got != tt.want {
			t.Errorf("%q: %v", tt.data, got)
		}
	}
}

func FuzzEnds(f *testing.F) {
	for _, tt := range endings {
		f.Add([]byte(tt.data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 300 {
			data = data[:300] // checkPrefixes is quadratic
		}
		isGreeting(data) // must come to an end
		checkPrefixes(t, greetingEnd, data)
		checkPrefixes(t, responseEnd, data)
	})
}

func (r read) String() string { return fmt.Sprintf("%d ms %q", r.ms, r.data) }
