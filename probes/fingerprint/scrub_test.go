package fingerprint

import "testing"

func TestScrub(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"product and version stay", "220 ESMTP Frobd 1.2.3 ready; Server: nginx/1.22.1 (Ubuntu) Node.js SSH-2.0-x\r\n",
			"220 ESMTP Frobd 1.2.3 ready; Server: nginx/1.22.1 (Ubuntu) Node.js SSH-2.0-x\r\n"},
		{"IPv4", "from 192.0.2.17:80, 10.1.2.3.", "from 000.0.0.00:80, 00.0.0.0."},
		{"no address", "999.1.1.1 and 1.2.3", "999.1.1.1 and 1.2.3"},
		{"IPv6", "[2001:db8::1] fe80::a1 ::1. a::b: at", "[0000:xx0::0] xx00::x0 ::0. x::x: at"},
		{"no IPv6", "std::vector 12:34 ::", "std::vector 12:34 ::"},
		{"MAC", "00:1A:2b:3c:4d:5e", "00:0x:0x:0x:0x:0x"},
		{"mail", "<root@mail7.example.org>", "<xxxx@xxxx0.xxxxxxx.xxx>"},
		{"host name", "220 mx1.corp.example ready", "220 xx0.xxxx.xxxxxxx ready"},
		{"cookie", "Set-Cookie: SID=ab12; Path=/\r\nCookie: a=b1\r\n", "Set-Cookie: SID=xx00; Path=/\r\nCookie: a=x0\r\n"},
		{"nonce", `Digest realm="Camera", nonce="9fZ1", opaque=ab12cd`, `Digest realm="Camera", nonce="0xx0", opaque=xx00xx`},
		{"token in JSON", `{"version":"1.2","access_token": "k3y!"}`, `{"version":"1.2","access_token": "x0x!"}`},
		{"long word", "id 5f0d3a7e4c1b4d5e8f60 end", "id 0x0x0x0x0x0x0x0x0x00 end"},
		{"long word of letters", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
		{"dates", "Mon, 23 Nov 2026 07:17:02 GMT; Nov 23 2026; 2026-11-23T07:17:02Z; 1795418622",
			"Mon, 00 xxx 0000 00:00:00 GMT; xxx 00 0000; 0000-00-00x00:00:00Z; 0000000000"},
		{"ctime", "Mon Nov 23 07:17:02 2026", "Mon xxx 00 00:00:00 0000"},
		{"serial", "Serial Number: AX93K; model 12", "Serial Number: xx00x; model 12"},
		{"UTF-16 of a given name", "x\x00T\x00h\x00o\x00r\x00\x00\x00", "x\x00T\x00h\x00o\x00r\x00\x00\x00"},
		{"UTF-16 between others", " \x00T\x00h\x00o\x00r\x00\x00\x00", " \x00x\x00x\x00x\x00x\x00\x00\x00"},
		{"a given name", "THOR thor.example.org thorn www", "xxxx xxxx.xxxxxxx.xxx thorn www"},
	} {
		in := []byte(c.in)
		got := string(Scrub(in, []string{"thor.example.org", "www.x.org", "a", ""}))
		if got != c.want {
			t.Errorf("%s:\ngot  %q\nwant %q", c.name, got, c.want)
		}
		if string(in) != c.in {
			t.Errorf("%s: the input was changed", c.name)
		}
	}
}

func FuzzScrub(f *testing.F) {
	for _, s := range []string{"", "a@b.c.d", "1.2.3.4", "\x00\xff Set-Cookie: a=", "thorthor", "t\x00h\x00o\x00r", "2001:db8::", "token=\xff\xff\xff\xff"} {
		f.Add([]byte(s), "thor")
	}
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		got := Scrub(data, []string{name})
		if len(got) != len(data) {
			t.Fatalf("%d bytes became %d", len(data), len(got))
		}
		for i := range data {
			if got[i] != data[i] && got[i] != 'x' && got[i] != '0' {
				t.Fatalf("byte %d: %q became %q", i, data[i], got[i])
			}
		}
	})
}
