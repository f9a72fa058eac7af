package draft

import (
	"errors"
	"strings"
	"testing"

	"sonde/match"
	"sonde/probes"
)

// base is a small database, so that each case stands for itself.
var base = probes.Source{Name: "base.probes", Data: []byte(`Probe TCP NULL q||
# id: known
match known m|^KNOWN ([\d.]+)| p/Known/ v/$1/
# id: any-ftp
softmatch ftp m|^220[^\r\n]*FTP|
Probe TCP GetRequest q|GET / HTTP/1.0\r\n\r\n|
Probe UDP Ping q|ping|
`)}

// TestNew: what changes is taken out of an answer's form, and what names the
// product is read. New itself holds the draft to its example.
func TestNew(t *testing.T) {
	for _, c := range []struct {
		name, probe, answer string
		service, pattern    string
		want                match.Identity // as the draft's line says it
	}{
		{"a greeting with host, version and date", "NULL",
			"220 fw1.example.org Frob FTP Server v3.2.1-p4 at Mon, 23 Nov 2026 13:12:07 GMT\r\n", "",
			`^220 ([\w.-]{1,255}) Frob FTP Server v(\d[\w.+~-]{0,40}) at [\w, :+()-]{17,40}\r?\n`,
			match.Identity{Service: "ftp", Product: "Frob FTP Server", Version: "3.2.1-p4", Hostname: "fw1.example.org"}},
		{"numbers of one server", "NULL", "Frob/1.4 build 20261123 pid 77123 from 10.0.0.1\n", "frob",
			`^Frob/(\d[\w.+~-]{0,40}) build [0-9A-Fa-f]{8,128} pid \d{1,10} from [\d.]{7,15}\n`,
			match.Identity{Service: "frob", Product: "Frob", Version: "1.4"}},
		{"a name before the version", "NULL", "READY ns.example.net Frob 2.0\n", "",
			`^READY ([\w.-]{1,255}) Frob (\d[\w.+~-]{0,40})\n`,
			match.Identity{Service: "unknown", Product: "Frob", Version: "2.0", Hostname: "ns.example.net"}},
		{"dates of other forms", "NULL", "up since 2026-11-23T13:12:07Z, Mon Nov 23 13:12:07 2026, 13:12:07\n", "",
			`^up since [\dT:.Z +-]{10,40}, [\w :]{20,32}, \d\d:\d\d:\d\d\n`,
			match.Identity{Service: "unknown"}},
		{"signs of patterns", "NULL", "(a|b) [c] {d} $e ^f *g? .h+ \\i\n", "",
			`^\(a\|b\) \[c\] \{d\} \$e \^f \*g\? \.h\+ \\i\n`, match.Identity{Service: "unknown"}},
		{"the Server field of HTTP", "GetRequest",
			"HTTP/1.1 200 OK\r\nSet-Cookie: a=b7\r\nServer: FrobWeb/2.0\r\n\r\n<html>", "",
			headerSkip + `Server: FrobWeb/(\d[\w.+~-]{0,40})\r?\n`,
			match.Identity{Service: "http", Product: "FrobWeb", Version: "2.0"}},
		{"HTTP without a Server field", "GetRequest", "HTTP/1.1 200 OK\r\nX: y\r\n\r\nServer: z\n", "",
			`^HTTP/1\.1 200 OK\r?\n`, match.Identity{Service: "http"}},
		{"a version of a protocol", "NULL", "SSH-2.0-Frob_7.1\r\n", "",
			`^SSH-2\.0-Frob_(\d[\w.+~-]{0,40})\r?\n`,
			match.Identity{Service: "ssh", Product: "Frob", Version: "7.1"}},
		{"bytes that are no text", "NULL", "\x00\x01\x7f|A\xff0123456789", "",
			`^\x00\x01\x7f\|A\xff012345`, match.Identity{Service: "unknown"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := New(Answer{Transport: probes.TCP, Probe: c.probe, Data: []byte(c.answer),
				Service: c.service, Source: "constructed"}, base)
			if err != nil {
				t.Fatal(err)
			}
			if s.Rule.Pattern != c.pattern {
				t.Errorf("pattern\n got %s\nwant %s", s.Rule.Pattern, c.pattern)
			}
			examples, err := probes.ParseExamples("x", s.Example)
			if err != nil || len(examples) != 1 {
				t.Fatalf("example: %v\n%s", err, s.Example)
			}
			if got := examples[0].Want; got.String() != c.want.String() || got.Hostname != c.want.Hostname {
				t.Errorf("got %q, host %q", got.String(), got.Hostname)
			}
		})
	}
}

// TestNewTakesForms: a draft explains answers of the same form, and no others.
func TestNewTakesForms(t *testing.T) {
	s, err := New(Answer{Transport: probes.TCP, Probe: "NULL", Source: "constructed",
		Data: []byte("HELLO a.example.org Frob v1.2 of 2026-01-02 pid 12345\r\n")}, base)
	if err != nil {
		t.Fatal(err)
	}
	db, err := probes.Load(probes.Source{Name: "d", Data: s.Probes, Overlay: true}, base)
	if err != nil {
		t.Fatal(err)
	}
	for answer, want := range map[string]bool{
		"HELLO b-2.example.net Frob v10.0.1-rc1 of 2027-11-30 pid 7\n":   true,
		"HELLO a.example.org Frobnic v1.2 of 2026-01-02 pid 12345\r\n":   false,
		"xHELLO a.example.org Frob v1.2 of 2026-01-02 pid 12345\r\n":     false,
		"HELLO a.example.org Frob v1.2 of 2026-01-02 pid 12345 more\r\n": false,
	} {
		r := db.Null().Search().Match(match.NewScratch(), []byte(answer)).Rule
		if got := r != nil && r.ID == s.Rule.ID; got != want {
			t.Errorf("%q: explained is %v", answer, got)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		a    Answer
		want error
		text string
	}{
		{Answer{Transport: probes.TCP, Probe: "NULL"}, ErrEmpty, ""},
		{Answer{Transport: probes.TCP, Probe: "NULL", Data: []byte("KNOWN 1.0")}, ErrExplained, "known"},
		{Answer{Transport: probes.UDP, Probe: "NULL", Data: []byte("x")}, nil, "there is no probe udp NULL"},
	} {
		_, err := New(c.a, base)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%+v: got %v", c.a, err)
		}
	}
}

// TestNewKeepsSoftService: what a soft line knows stays, and ids do not clash.
func TestNewKeepsSoftService(t *testing.T) {
	first, err := New(Answer{Transport: probes.TCP, Probe: "NULL", Source: "constructed",
		Data: []byte("220 some FTP\r\n")}, base)
	if err != nil {
		t.Fatal(err)
	}
	second, err := New(Answer{Transport: probes.TCP, Probe: "NULL", Source: "constructed",
		Data: []byte("220 other FTP\r\n")}, base, probes.Source{Name: "d", Data: first.Probes, Overlay: true})
	if err != nil {
		t.Fatal(err)
	}
	if first.Rule.Service != "ftp" || first.Rule.ID != "local-ftp" || second.Rule.ID != "local-ftp-2" {
		t.Errorf("got %s %s and %s", first.Rule.Service, first.Rule.ID, second.Rule.ID)
	}
}

// FuzzNew: whatever a host sends, the draft of it loads and explains it.
func FuzzNew(f *testing.F) {
	for _, s := range []string{
		"220 fw1.example.org Frob FTP Server v3.2.1-p4 ready\r\n",
		"HTTP/1.1 200 OK\r\nServer: A/1.0\r\n\r\n", "HTTP/1.0 200\nServer:", "\x00\xff|\n", "a\rb\n", "$1 /|%=@#",
		"SSH-2.0-x_1.0\r\n", "1.2.3.4 5.6 x.y", strings.Repeat("z", 5000), "KNOWN 1.0", "\n", "\r", "\r\r", "HTTP/1.1 200 \r\r\n",
	} {
		f.Add([]byte(s), "")
	}
	f.Fuzz(func(t *testing.T, data []byte, service string) {
		if slug(service) != service { // a person gives it
			service = ""
		}
		_, err := New(Answer{Transport: probes.TCP, Probe: "GetRequest", Data: data,
			Service: service, Source: "fuzz"}, base)
		if err != nil && !errors.Is(err, ErrEmpty) && !errors.Is(err, ErrExplained) {
			t.Errorf("%q: %v", data, err)
		}
	})
}
