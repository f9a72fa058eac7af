package fingerprint

import (
	"strings"
)

// appendEscaped appends data as the form writes it: printable characters as
// they are, or behind a backslash where a pattern gives them a meaning.
func appendEscaped(dst, data []byte) []byte {
	const hex = "0123456789abcdef"
	for i, b := range data {
		switch {
		case b == 0 && (i+1 == len(data) || !isDigit(data[i+1])):
			dst = append(dst, `\0`...)
		case b == '\r':
			dst = append(dst, `\r`...)
		case b == '\n':
			dst = append(dst, `\n`...)
		case b == '\t':
			dst = append(dst, `\t`...)
		case b <= ' ' || b > '~':
			dst = append(dst, '\\', 'x', hex[b>>4], hex[b&15])
		case strings.IndexByte(`\?"[]().*+$^|`, b) >= 0:
			dst = append(dst, '\\', b)
		default:
			dst = append(dst, b)
		}
	}
	return dst
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// word makes s fit to stand in the header or in front of an answer.
func word(s string) string {
	if s == "" {
		return "unknown"
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || strings.ContainsRune(`%(),";`, r) {
			return '_'
		}
		return r
	}, s)
}
