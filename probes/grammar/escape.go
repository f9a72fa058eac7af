package grammar

import "fmt"

// unescape reads the escapes of a probe string: \\ \0 \n \r \t and \xHH, and
// no others. \0 is one NUL, whatever digits follow. With an error comes the
// offset of the bad escape.
func unescape(s string) (out []byte, bad int, err error) {
	out = make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		if i+1 == len(s) {
			return nil, i, fmt.Errorf("backslash without a letter at the end of the probe string")
		}
		switch s[i+1] {
		case '\\':
			out = append(out, '\\')
		case '0':
			out = append(out, 0)
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'x':
			if i+3 >= len(s) || !isHex(s[i+2]) || !isHex(s[i+3]) {
				return nil, i, fmt.Errorf(`escape \x wants two hexadecimal digits`)
			}
			out = append(out, unhex(s[i+2])<<4|unhex(s[i+3]))
			i += 2
		default:
			return nil, i, fmt.Errorf(`unknown escape %q: want \\ \0 \n \r \t or \xHH`, s[i:i+2])
		}
		i++
	}
	return out, 0, nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

// appendEscaped writes payload so that it stands between two delim bytes and
// reads back to the same. A compact form keeps every byte that may stand as
// it is; otherwise all but printable ASCII is escaped.
func appendEscaped(b, payload []byte, delim byte, compact bool) []byte {
	const hex = "0123456789abcdef"
	for _, c := range payload {
		switch {
		case c == delim:
			b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
		case c == '\\':
			b = append(b, '\\', '\\')
		case c == 0:
			b = append(b, '\\', '0')
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c >= ' ' && c <= '~', compact:
			b = append(b, c)
		default:
			b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
		}
	}
	return b
}
