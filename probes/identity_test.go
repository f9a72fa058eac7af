package probes

import (
	"bytes"
	"strings"
	"testing"
)

func TestIdentityApply(t *testing.T) {
	all := Identity{Contact: "noc@example.org", UserAgent: "sonde (+https://example.org)", EHLOName: "probe.example.org"}
	for _, c := range []struct {
		name     string
		id       Identity
		payload  string
		host     string
		want     string
		sameData bool // must be the same slice
	}{
		{name: "fields are added behind the others", id: all, payload: "GET / HTTP/1.0\r\n\r\n",
			host: "www.example.org",
			want: "GET / HTTP/1.0\r\nHost: www.example.org\r\n" +
				"User-Agent: sonde (+https://example.org)\r\nFrom: noc@example.org\r\n\r\n"},
		{name: "a field is replaced where it stands", id: all,
			payload: "POST /ipp HTTP/1.1\r\nhost: localhost\r\nUSER-AGENT:x\r\nContent-Length: 9\r\n\r\nHost: b\r\n",
			host:    "192.0.2.1",
			want: "POST /ipp HTTP/1.1\r\nHost: 192.0.2.1\r\n" +
				"User-Agent: sonde (+https://example.org)\r\nContent-Length: 9\r\nFrom: noc@example.org\r\n\r\nHost: b\r\n"},
		{name: "only what is set", id: Identity{UserAgent: "u"}, payload: "OPTIONS / HTTP/1.0\r\n\r\n",
			want: "OPTIONS / HTTP/1.0\r\nUser-Agent: u\r\n\r\n"},
		{name: "only a host", payload: "HEAD / HTTP/1.1\r\nHost: a\r\nFrom: x\r\n\r\n", host: "b",
			want: "HEAD / HTTP/1.1\r\nHost: b\r\nFrom: x\r\n\r\n"},
		{name: "an IPv6 address is bracketed, its zone is ours", payload: "GET / HTTP/1.0\r\n\r\n",
			host: "fe80::1%eth0", want: "GET / HTTP/1.0\r\nHost: [fe80::1]\r\n\r\n"},
		{name: "brackets are not doubled", payload: "GET / HTTP/1.0\r\n\r\n",
			host: "[2001:db8::1]:8080", want: "GET / HTTP/1.0\r\nHost: [2001:db8::1]:8080\r\n\r\n"},
		{name: "a host that would be more than a field", payload: "GET / HTTP/1.0\r\n\r\n",
			host: "a\r\nCookie: b", sameData: true},
		{name: "a field whose name only begins alike stays", id: Identity{Contact: "c"},
			payload: "GET / HTTP/1.0\r\nFrom-Where: x\r\n\r\n",
			want:    "GET / HTTP/1.0\r\nFrom-Where: x\r\nFrom: c\r\n\r\n"},
		{name: "EHLO", id: all, payload: "EHLO sonde.invalid\r\n", host: "mail.example.org",
			want: "EHLO probe.example.org\r\n"},
		{name: "what follows HELO stays", id: all, payload: "helo a\r\nQUIT\r\n", want: "helo probe.example.org\r\nQUIT\r\n"},
		{name: "LHLO", id: all, payload: "LHLO a\r\n", want: "LHLO probe.example.org\r\n"},

		{name: "zero identity", payload: "GET / HTTP/1.0\r\n\r\n", sameData: true},
		{name: "EHLO without a name", id: Identity{UserAgent: "u"}, payload: "EHLO a\r\n", host: "h", sameData: true},
		{name: "EHLO without an end", id: all, payload: "EHLO a", sameData: true},
		{name: "EHLO without an argument", id: all, payload: "EHLO \r\n", sameData: true},
		{name: "RTSP", id: all, payload: "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", host: "h", sameData: true},
		{name: "SIP", id: all, payload: "OPTIONS sip:a SIP/2.0\r\nFrom: <sip:a>\r\n\r\n", host: "h", sameData: true},
		{name: "SSDP", id: all, payload: "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n", host: "h", sameData: true},
		{name: "HTTP/0.9", id: all, payload: "GET /\r\n", host: "h", sameData: true},
		{name: "a header without an end", id: all, payload: "GET / HTTP/1.0\r\nA: b\r\n", host: "h", sameData: true},
		{name: "HTTP/2", id: all, payload: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", host: "h", sameData: true},
		{name: "nothing", id: all, host: "h", sameData: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			payload := []byte(c.payload)
			got := c.id.Apply(payload, c.host)
			if c.sameData {
				c.want = c.payload
				if len(got) > 0 && &got[0] != &payload[0] {
					t.Error("not the same slice")
				}
			}
			if string(got) != c.want {
				t.Errorf("got\n%q\nwant\n%q", got, c.want)
			}
			if string(payload) != c.payload {
				t.Errorf("the payload was changed to %q", payload)
			}
		})
	}
}

// TestIdentityAppliesToTheDatabase shows which probes carry an identity, so
// that none gets one by accident.
func TestIdentityAppliesToTheDatabase(t *testing.T) {
	sources, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	db, err := Load(sources...)
	if err != nil {
		t.Fatal(err)
	}
	id := Identity{Contact: "c@example.org", UserAgent: "u", EHLOName: "e"}
	var changed []string
	for p := range db.Probes() {
		if !bytes.Equal(id.Apply(p.Payload, ""), p.Payload) {
			changed = append(changed, string(p.Transport)+" "+p.Name)
		}
	}
	const want = "tcp GetRequest, tcp EHLO, tcp IPPGetPrinterAttributes, tcp HTTPVersion, tcp HTTPOptions, tcp HTTPFavicon"
	if got := strings.Join(changed, ", "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzIdentityApply(f *testing.F) {
	for _, s := range []string{"GET / HTTP/1.0\r\n\r\n", "EHLO x\r\n", "GET  HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.0\r\n\nHost: \r\n\r\n", "HELO \r\n", "GET / HTTP/1.0\r\n:\r\nHost:\r\n\r\n\r\n\r\n"} {
		f.Add([]byte(s), "host")
	}
	id := Identity{Contact: "c@example.org", UserAgent: "u/1", EHLOName: "e.example"}
	f.Fuzz(func(t *testing.T, payload []byte, host string) {
		before := bytes.Clone(payload)
		got := id.Apply(payload, host)
		if !bytes.Equal(payload, before) {
			t.Fatal("the payload was changed in place")
		}
		if again := id.Apply(got, host); !bytes.Equal(again, got) {
			t.Errorf("applied twice: %q, then %q", got, again)
		}
		if isHTTPRequest(payload) && !isHTTPRequest(got) {
			t.Errorf("%q became %q", payload, got)
		}
	})
}
