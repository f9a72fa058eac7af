package control

import (
	"testing"
)

func TestParseEndpoint(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1:443/tcp": "192.0.2.1:443/tcp", "192.0.2.1:443": "192.0.2.1:443/tcp",
		"[2001:db8::1]:53/udp": "[2001:db8::1]:53/udp", "[::ffff:192.0.2.1]:1": "192.0.2.1:1/tcp",
		"[fe80::1%eth0]:22": "[fe80::1%eth0]:22/tcp",
		"":                  "", "192.0.2.1": "", "192.0.2.1:0": "", "192.0.2.1:65536": "", "host:22": "", "192.0.2.1:22/sctp": "",
		"192.0.2.1:22/": "", "192.0.2.1:22/tcp/udp": "", "2001:db8::1:53": "",
	} {
		k, err := ParseEndpoint(in)
		if (err != nil) != (want == "") {
			t.Errorf("%q: %v", in, err)
		} else if err == nil && FormatEndpoint(k) != want {
			t.Errorf("%q is %s, want %s", in, FormatEndpoint(k), want)
		}
	}
}

// FuzzParseEndpoint: what is read is written in one way, and read again as the
// same.
func FuzzParseEndpoint(f *testing.F) {
	for _, s := range []string{"192.0.2.1:443/tcp", "[2001:db8::1]:53/udp", "[fe80::1%eth0]:22", "192.0.2.1:443", "x", "/", "[::]:1/udp"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseEndpoint(s)
		if err != nil {
			return
		}
		again, err := ParseEndpoint(FormatEndpoint(k))
		if err != nil || again != k || k.Port == 0 || k.Addr.Is4In6() {
			t.Errorf("%q: %+v, then %+v, %v", s, k, again, err)
		}
	})
}
