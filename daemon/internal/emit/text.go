package emit

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean replaces every character that does not print by '.': control
// characters, line and paragraph separators, marks that change the direction
// of writing, and bytes that are not UTF-8. So no string of a scanned host ends
// a line, a field or a record, whatever the format escapes besides.
func clean(s string) string {
	if !strings.ContainsFunc(s, unprintable) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return '.'
		}
		return r
	}, s)
}

// unprintable says whether a character is none of those with ink, nor a blank.
// Line ends count: a record is one line.
func unprintable(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }

// cutUTF8 cuts s to at most n bytes without cutting a character.
func cutUTF8(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n = max(n, 0)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// appendJSONLine appends a JSON object without anything that a terminal or a
// line reader would obey. Package json escapes control characters below 0x20;
// this does the same for the others that do not print. Outside of strings there
// are none but line ends, which JSON takes for blanks.
func appendJSONLine(dst, object []byte) []byte {
	plain := 0
	for plain < len(object) && object[plain] >= ' ' && object[plain] < 0x7f {
		plain++
	}
	dst = append(dst, object[:plain]...)
	for rest := object[plain:]; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			dst = append(dst, ' ')
		case unprintable(r):
			dst = appendEscaped(dst, r)
		default:
			dst = append(dst, rest[:n]...)
		}
		rest = rest[n:]
	}
	return dst
}

// appendEscaped appends \uXXXX, in UTF-16 (RFC 8259 section 7).
func appendEscaped(dst []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	units := []rune{r}
	if r > 0xffff {
		r -= 0x10000
		units = []rune{0xd800 + r>>10, 0xdc00 + r&0x3ff}
	}
	for _, u := range units {
		dst = append(dst, '\\', 'u', hex[u>>12&15], hex[u>>8&15], hex[u>>4&15], hex[u&15])
	}
	return dst
}
