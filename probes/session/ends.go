package session

import (
	"bytes"
	"strconv"
	"strings"
)

// never is the need of an answer whose syntax shows no end.
const never = int(^uint(0) >> 1)

// greetingEnd finds the end of a line greeting: an SSH identification line
// (RFC 4253 section 4.2), or a reply whose last line is "NNN " and some text
// while "NNN-" announces more lines (RFC 5321 section 4.2.1, RFC 959 section
// 4.2). Other greetings have no end of their own.
func greetingEnd(b []byte) (n, need int) {
	switch {
	case hasPrefixSoFar(b, "SSH-"):
		if i := bytes.IndexByte(b, '\n'); i >= 0 && len(b) > len("SSH-") {
			return i + 1, 0
		}
		return -1, len(b) + 1
	case len(b) < 4 && isReplySoFar(b):
		return -1, len(b) + 1
	case len(b) < 4 || !isReplySoFar(b):
		return -1, never
	}
	code := b[:3]
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return -1, len(b) + 1
		}
		line := b[at : at+i+1]
		at += i + 1
		if bytes.HasPrefix(line, code) && line[3] == ' ' {
			return at, 0
		}
	}
}

// isGreeting reports whether b is a line greeting and nothing else: whole lines,
// and but for an SSH id all with the code of the first, which is one of success.
// A middle digit of 5 is the outcome of a command, never of the connection
// (RFC 5321 section 4.2.1).
func isGreeting(b []byte) bool {
	if !hasPrefixSoFar(b, "SSH-") && (len(b) < 2 || b[0] != '2' || b[1] == '5') {
		return false
	}
	for rest := b; ; {
		n, _ := greetingEnd(rest)
		switch {
		case n < 0:
			return false
		case n == len(rest):
			return true
		}
		if rest = rest[n:]; !bytes.HasPrefix(rest, b[:3]) {
			return false
		}
	}
}

// hasPrefixSoFar reports whether b begins with prefix, or may still.
func hasPrefixSoFar(b []byte, prefix string) bool {
	return len(b) > 0 && strings.HasPrefix(prefix, string(b[:min(len(b), len(prefix))]))
}

// isReplySoFar reports whether b begins with a reply code and ' ' or '-', or
// may still.
func isReplySoFar(b []byte) bool {
	for i, c := range b[:min(len(b), 4)] {
		switch {
		case i == 0 && (c < '1' || c > '5'):
			return false
		case i < 3 && (c < '0' || c > '9'):
			return false
		case i == 3 && c != ' ' && c != '-':
			return false
		}
	}
	return true
}

// responseEnd finds the end of what answers a probe: of an HTTP/1 response. For
// a counted block it only says how much is missing, as more may follow it.
func responseEnd(b []byte) (n, need int) {
	for _, lead := range counted {
		if hasPrefixSoFar(b, lead) {
			return -1, countedNeed(b, lead)
		}
	}
	for _, frame := range framed {
		if hasPrefixSoFar(b, frame.lead) {
			return -1, frame.need(b)
		}
	}
	return httpEnd(b)
}

// framed are the frames whose first two bytes tell them from other answers, and
// whose next two hold their length: one fragment that is a whole record of
// SunRPC, below 64 KiB (RFC 5531 section 11), and TPKT, which counts its own
// header (RFC 1006 section 6).
var framed = []framing16{{"\x80\x00", 4}, {"\x03\x00", 0}}

type framing16 struct {
	lead string
	more int // bytes that the length does not count
}

// need is how long a frame is, or never where all of it is there.
func (f framing16) need(b []byte) int {
	const header = 4
	if len(b) < header {
		return header
	}
	if n := int(b[2])<<8 | int(b[3]) + f.more; n > len(b) {
		return n
	}
	return never
}

// counted are the beginnings of answers that go on with their length, CRLF, so
// many bytes and CRLF: bulk strings of Redis (RESP specification), and what
// beanstalkd gives for its statistics (protocol.txt).
var counted = []string{"$", "OK "}

// maxDigits is how long a length may be.
const maxDigits = 9

// countedNeed is how long a counted block is that begins with lead, or never
// where its length is there already, or none is.
func countedNeed(b []byte, lead string) int {
	digits, _, whole := bytes.Cut(b[min(len(lead), len(b)):], []byte("\r\n"))
	if !whole {
		digits = bytes.TrimSuffix(digits, []byte("\r"))
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return never
		}
	}
	switch {
	case len(digits) > maxDigits:
		return never
	case !whole:
		return len(b) + 1
	}
	length, err := strconv.Atoi(string(digits))
	need := len(lead) + len(digits) + length + 2*len("\r\n")
	if err != nil || need <= len(b) {
		return never
	}
	return need
}

// httpEnd finds the end of an HTTP/1 response: after the header block of a
// status that has no body, at Content-Length, or after the last chunk and its
// trailer (RFC 9112 section 6.3). A response that has none of these ends with
// its connection, and interim responses do not count.
func httpEnd(b []byte) (n, need int) {
	at := 0
	for {
		if !hasPrefixSoFar(b[at:], "HTTP/1.") && len(b) > at {
			return -1, never
		}
		size := headerLength(b[at:])
		if size < 0 {
			return -1, len(b) + 1
		}
		header := b[at : at+size]
		at += size
		switch status := statusOf(header); {
		case status == 204 || status == 304:
			return at, 0
		case status >= 100 && status < 200 && status != 101:
			continue
		case status < 200:
			return -1, never
		}
		switch length, chunked := framing(header); {
		case chunked:
			return chunksEnd(b, at)
		case length < 0:
			return -1, never
		case length > len(b)-at:
			return -1, at + length
		default:
			return at + length, 0
		}
	}
}

// headerLength is the length of a header block with its empty line, or -1.
// Lone LF counts as a line end: many small servers send it.
func headerLength(b []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return -1
		}
		at += i + 1
		switch {
		case len(b) > at && b[at] == '\n':
			return at + 1
		case len(b) > at+1 && b[at] == '\r' && b[at+1] == '\n':
			return at + 2
		}
	}
}

// statusOf gives the status code of a header block, or 0.
func statusOf(header []byte) int {
	fields := bytes.Fields(header[:bytes.IndexByte(header, '\n')])
	if len(fields) < 2 || len(fields[1]) != 3 {
		return 0
	}
	status, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return 0
	}
	return status
}

// maxLength keeps sums of lengths far from overflow. An answer is cut at a
// much smaller size anyway.
const maxLength = 1 << 30

// framing gives the Content-Length of a header block, -1 without a valid one,
// and whether the body is chunked, which goes before the length.
func framing(header []byte) (length int, chunked bool) {
	length = -1
	seen := false
	for line := range bytes.Lines(header) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		v := string(bytes.TrimSpace(value))
		switch strings.ToLower(string(name)) {
		case "transfer-encoding":
			chunked = chunked || strings.HasSuffix(strings.ToLower(v), "chunked")
		case "content-length":
			n, err := strconv.ParseUint(v, 10, 63)
			if err != nil || n > maxLength || (seen && int(n) != length) {
				n = maxLength // contradictory or absurd: wait for the close
			}
			length, seen = int(n), true
		}
	}
	return length, chunked
}

// chunksEnd finds the end of the chunked body that begins at b[at].
func chunksEnd(b []byte, at int) (n, need int) {
	for {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return -1, len(b) + 1
		}
		text, _, _ := bytes.Cut(b[at:at+i], []byte(";"))
		size, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 16, 63)
		if err != nil || size > maxLength {
			return -1, never
		}
		at += i + 1
		if size == 0 {
			return trailerEnd(b, at)
		}
		at += int(size) + len("\r\n")
		if at > len(b) {
			return -1, at
		}
	}
}

// trailerEnd finds the empty line after the last chunk.
func trailerEnd(b []byte, at int) (n, need int) {
	for {
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return -1, len(b) + 1
		}
		line := b[at : at+i]
		at += i + 1
		if len(bytes.TrimRight(line, "\r")) == 0 {
			return at, 0
		}
	}
}
