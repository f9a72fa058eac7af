package draft

import (
	"fmt"
	"regexp"
	"strings"
)

// A form is a text with what changes taken out.
type form struct {
	pattern  string // without the anchor
	product  string
	version  string // "$1" or ""
	hostname string // "$2" or ""
}

// A kind of thing that changes from one answer of a product to the next.
// Patterns stand in the order in which they are tried at one place.
type kind struct {
	finds   *regexp.Regexp // anchored
	becomes string         // a pattern that matches all of the kind
}

// kinds are found with Go's regexp, whose time is linear in the text.
var kinds = []kind{
	// Dates: RFC 9110 and RFC 5322; asctime; ISO 8601 with or without a time.
	{regexp.MustCompile(`^(?:[A-Z][a-z]{2}, )?\d{1,2}[ -][A-Z][a-z]{2}[ -]\d{4} \d\d:\d\d:\d\d(?: (?:[+-]\d{4}|[A-Z]{2,5}))?(?: \([A-Z]{2,5}\))?`),
		`[\w, :+()-]{17,40}`},
	{regexp.MustCompile(`^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?: [A-Z]{2,5})? \d{4}`), `[\w :]{20,32}`},
	{regexp.MustCompile(`^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?)?`), `[\dT:.Z +-]{10,40}`},
	{regexp.MustCompile(`^\d\d:\d\d:\d\d`), `\d\d:\d\d:\d\d`},
	// Addresses of IPv4, and long numbers in hex: serial numbers, cookies.
	{regexp.MustCompile(`^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b`), `[\d.]{7,15}`},
	{regexp.MustCompile(`^(?:[0-9a-f]{8,}|[0-9A-F]{8,})\b`), `[0-9A-Fa-f]{8,128}`},
}

var (
	// versionHere is a product's name, what joins it to a version, and that.
	versionHere = regexp.MustCompile(`^([A-Za-z][A-Za-z+]*(?:[ _-][A-Za-z][A-Za-z+]*)*)([ /_-]v?|[ ,]+(?:[Vv]ersion|[Vv]er\.?|[Rr]elease)[ :]*)(\d+(?:\.\d+)+[\w.+~-]*|\d+\.\d+)`)
	hostHere    = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+`)
	letterLast  = regexp.MustCompile(`\.[A-Za-z]{2,}$`)
	digits      = regexp.MustCompile(`^\d+`)
	protocol    = regexp.MustCompile(`^(?:HTTP|RTSP|SIP|SSH|ICY|RFB)[/ -]\d[\d.]*(?: \d{3}|-)?`)
)

// noProducts are words before a version that name a protocol.
var noProducts = map[string]bool{"http": true, "rtsp": true, "sip": true, "ssh": true, "rfb": true,
	"esmtp": true, "smtp": true, "ftp": true, "imap": true, "pop3": true, "nntp": true, "version": true}

// generalise turns a text into a pattern that matches it and its like.
func generalise(text []byte) form {
	var f form
	s := string(text)
	if strings.Trim(s, "\r") == "" { // which nothing else stands beside
		f.pattern = strings.Repeat(`\r`, len(s))
		return f
	}
	boundary := true // a word can begin here
	for s != "" {
		taken, pattern := f.next(s, boundary, len(s) == len(text))
		f.pattern += pattern
		last := s[taken-1]
		boundary = !isWordByte(last)
		s = s[taken:]
	}
	return f
}

// next takes the beginning of what is left and gives a pattern for it.
func (f *form) next(s string, boundary, first bool) (taken int, pattern string) {
	if first {
		if p := protocol.FindString(s); p != "" {
			return len(p), literal([]byte(p))
		}
	}
	if !boundary {
		return 1, literal([]byte(s[:1]))
	}
	for _, k := range kinds {
		if p := k.finds.FindString(s); p != "" {
			return len(p), k.becomes
		}
	}
	if taken, pattern, ok := f.takeVersion(s); ok {
		return taken, pattern
	}
	if h := hostHere.FindString(s); letterLast.MatchString(h) {
		if f.hostname == "" && f.version == "" && f.product == "" {
			f.hostname = "$1"
			return len(h), `([\w.-]{1,255})`
		}
		return len(h), `[\w.-]{1,255}`
	}
	if d := digits.FindString(s); len(d) > 3 { // three are a code of the protocol
		return len(d), fmt.Sprintf(`\d{1,%d}`, max(len(d)+4, 10))
	}
	return 1, literal([]byte(s[:1]))
}

// takeVersion takes a product with its version, once.
func (f *form) takeVersion(s string) (taken int, pattern string, ok bool) {
	m := versionHere.FindStringSubmatch(s)
	if m == nil || f.version != "" || noProducts[strings.ToLower(m[1])] {
		return 0, "", false
	}
	f.product, f.version = m[1], "$1"
	if f.hostname != "" {
		f.version = "$2"
	}
	return len(m[0]), literal([]byte(m[1]+m[2])) + `(\d[\w.+~-]{0,40})`, true
}

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// literal escapes bytes so that they stand for themselves. Line ends match with
// and without CR.
func literal(b []byte) string {
	var out strings.Builder
	for i, c := range b {
		switch {
		case c == '\r' && i+1 == len(b):
			out.WriteString(`\r?`)
		case c == '\r':
			out.WriteString(`\r`)
		case c == '\n':
			out.WriteString(`\n`)
		case c == '\t':
			out.WriteString(`\t`)
		case c == 0:
			out.WriteString(`\x00`)
		case c < ' ' || c > '~':
			fmt.Fprintf(&out, `\x%02x`, c)
		case strings.IndexByte(`\.+*?()|[]{}^$`, c) >= 0:
			out.WriteByte('\\')
			out.WriteByte(c)
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}
