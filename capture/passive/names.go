package passive

// The limits of what is kept of a text that a stranger sent.
const (
	nameMost   = 253 // a domain name in text, RFC 1035 section 2.3.4
	vendorMost = 64  // vendor classes in the field have up to some 50 bytes
)

// hostName gives b as a host name without its final dot, or "" if it is none:
// letters, digits, '-', '_' and '.' only, so that a name can stand in a log or
// an event as it is.
func hostName(b []byte) string {
	for len(b) > 0 && (b[len(b)-1] == '.' || b[len(b)-1] == 0) {
		b = b[:len(b)-1] // some clients count the C string's end as part of it
	}
	if len(b) > nameMost {
		return ""
	}
	for _, c := range b {
		if !nameByte(c) {
			return ""
		}
	}
	return string(b)
}

func nameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '_' || c == '.'
}

// printable gives the first vendorMost bytes of b, with '?' for what is not
// printable ASCII.
func printable(b []byte) string {
	b = b[:min(len(b), vendorMost)]
	out := make([]byte, len(b))
	for i, c := range b {
		if c < ' ' || c > '~' {
			c = '?'
		}
		out[i] = c
	}
	return string(out)
}
