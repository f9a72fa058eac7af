package probes

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Bytes is an answer of a scanned host. As JSON it is a string in which every
// byte that is not printable ASCII, and the backslash, is escaped as \n, \r,
// \t, \\ or \xHH: it cannot carry control bytes, line breaks or invalid UTF-8
// into a log, and it can be read back without loss.
type Bytes []byte

// String gives the escaped form.
func (b Bytes) String() string { return string(b.appendEscaped(nil)) }

func (b Bytes) appendEscaped(dst []byte) []byte {
	const hex = "0123456789abcdef"
	for _, c := range b {
		switch {
		case c == '\\':
			dst = append(dst, '\\', '\\')
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < 0x20 || c > 0x7e:
			dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// MarshalJSON implements json.Marshaler.
func (b Bytes) MarshalJSON() ([]byte, error) { return json.Marshal(b.String()) }

// UnmarshalJSON implements json.Unmarshaler.
func (b *Bytes) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		i++
		if i == len(s) {
			return fmt.Errorf("escaped bytes: lone backslash at the end")
		}
		switch s[i] {
		case '\\':
			out = append(out, '\\')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'x':
			if i+2 >= len(s) {
				return fmt.Errorf("escaped bytes: \\x at %d lacks two digits", i-1)
			}
			v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return fmt.Errorf("escaped bytes: \\x at %d: %w", i-1, err)
			}
			out = append(out, byte(v))
			i += 2
		default:
			return fmt.Errorf("escaped bytes: unknown escape \\%c at %d", s[i], i-1)
		}
	}
	*b = out
	return nil
}
