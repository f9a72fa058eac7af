package shared

import "strings"

// A Field is one field of a line: p, v, i, h, o, d or cpe, and its text.
type Field struct {
	Name, Text string
}

// SplitFields reads the rest of a line. A cpe's text is without "cpe:/".
func SplitFields(rest string) []Field {
	var fields []Field
	for {
		rest = strings.TrimLeft(rest, " ")
		name := rest[:min(len(rest), 1)]
		if strings.HasPrefix(rest, "cpe:") {
			name = "cpe"
			rest = rest[1+len("cp"):]
		}
		if len(rest) < 2 {
			return fields
		}
		text, after, ok := strings.Cut(rest[2:], rest[1:2])
		if !ok {
			return fields
		}
		fields = append(fields, Field{name, text})
		_, rest, _ = strings.Cut(after, " ")
	}
}
