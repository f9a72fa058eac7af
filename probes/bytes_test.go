package probes

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestBytesJSON(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", `""`},
		{"plain text", `"plain text"`},
		{"a\r\n\t\\", `"a\\r\\n\\t\\\\"`},
		{"\x00\x1b\x7f\xff", `"\\x00\\x1b\\x7f\\xff"`},
		{"é", `"\\xc3\\xa9"`},
		{`"quoted" \x41`, `"\"quoted\" \\\\x41"`},
	} {
		got, err := json.Marshal(Bytes(tt.in))
		if err != nil || string(got) != tt.want {
			t.Errorf("%q: %s, %v; want %s", tt.in, got, err, tt.want)
		}
		var back Bytes
		if err := json.Unmarshal(got, &back); err != nil || string(back) != tt.in {
			t.Errorf("%q comes back as %q, %v", tt.in, []byte(back), err)
		}
	}
}

func TestBytesUnmarshalErrors(t *testing.T) {
	for _, in := range []string{`5`, `"\\"`, `"\\q"`, `"\\x"`, `"\\x4"`, `"\\xg1"`, `"\\x+1"`} {
		b := Bytes("kept")
		if err := json.Unmarshal([]byte(in), &b); err == nil {
			t.Errorf("%s is accepted as %q", in, []byte(b))
		}
		if string(b) != "kept" {
			t.Errorf("%s: an error changed the value to %q", in, []byte(b))
		}
	}
}

func FuzzBytes(f *testing.F) {
	f.Add([]byte("SSH-2.0-OpenSSH_9.2p1\r\n"))
	f.Add([]byte("\\x41\x00\xff\\"))
	f.Fuzz(func(t *testing.T, in []byte) {
		text, err := json.Marshal(Bytes(in))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range text {
			if c < 0x20 || c > 0x7e {
				t.Fatalf("%q: byte %#x in JSON", in, c)
			}
		}
		var back Bytes
		if err := json.Unmarshal(text, &back); err != nil || !bytes.Equal(in, back) {
			t.Fatalf("%q comes back as %q, %v", in, []byte(back), err)
		}
	})
}
