package inventory

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"sonde/daemon/internal/event"
	"sonde/match"
	"sonde/probes"
)

// hostileVisit says the same bad thing in every field that a scanned host has
// a say in, directly or through a signature.
func hostileVisit(at time.Time, s string) Visit {
	v := visitOf("192.0.2.1", 443, at, "", "")
	many := make([]string, 300)
	for i := range many {
		many[i] = s
	}
	cert := &probes.Certificate{Subject: s, Issuer: s, SANs: many, Key: s, SHA256: s, Error: s,
		NotBefore: time.Date(-50, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:  time.Date(99999, 1, 1, 0, 0, 0, 0, time.UTC)}
	facts := probes.TLSFacts{Name: s, Version: s, Cipher: s, ALPN: s, Alert: s, Certificate: cert}
	v.Observation = probes.Observation{
		State: probes.Open, Outcome: probes.OutcomeAnswered, Strength: probes.Hard,
		Reason: s, Names: many, Tunnel: probes.TLS, Probe: s, Rule: s, Fingerprint: s, Database: s,
		Identity: match.Identity{Service: s, Product: s, Version: s, Info: s, Hostname: s,
			OS: s, Device: s, CPE: many},
		TLS:      []probes.TLSFacts{facts, facts, facts, facts, facts, facts},
		Evidence: &probes.Evidence{Probe: s, Rule: s, Database: s, Answer: probes.Bytes(s)},
		Asked:    many,
		Errors:   many,
	}
	return v
}

var hostile = []string{
	strings.Repeat("\x00", 64<<10),
	strings.Repeat("\xff\xfe", 32<<10),
	strings.Repeat("\"\\<>&", 13<<10),
	strings.Repeat("\u202e\u2028\u0085", 9<<10),
	strings.Repeat("😀", 16<<10),
	"a\r\nb\x1b[2J\x07 ]]> '; drop table endpoints; --",
	"%s%n%x{{.}}${jndi:ldap://x/}",
	"",
}

// checkLine holds one committed event against what every event promises.
func checkLine(t *testing.T, line []byte) {
	t.Helper()
	if len(line) > MaxEvent {
		t.Errorf("%d bytes, more than %d", len(line), MaxEvent)
	}
	if !utf8.Valid(line) {
		t.Error("not UTF-8")
	}
	var values func(any) int
	values = func(v any) (n int) {
		switch v := v.(type) {
		case map[string]any:
			for key, x := range v {
				n += values(x)
				if strings.ContainsFunc(key, unprintable) {
					t.Errorf("key %q", key)
				}
			}
		case []any:
			for _, x := range v {
				n += values(x)
			}
		case string:
			if strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("value %q", v)
			}
			n = 1
		default:
			n = 1
		}
		return n
	}
	var all any
	if err := json.Unmarshal(line, &all); err != nil {
		t.Fatalf("not JSON: %v", err)
	}
	if n := values(all); n > MaxLeaves {
		t.Errorf("%d values, more than %d", n, MaxLeaves)
	}
}

func TestHostileHosts(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	for i, text := range hostile {
		for range 3 {
			mustApply(t, s, hostileVisit(c.add(time.Minute), text[:len(text)-len(text)/100*i]))
		}
	}
	rows, err := s.Events(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) < len(hostile)-1 {
		t.Errorf("%d events of %d different services", len(rows), len(hostile))
	}
	for _, r := range rows {
		checkLine(t, r.JSON)
	}
	known := endpoints(t, s.Reader, Filter{})
	if len(known) != 1 || len(known[0].Others) > MaxIdentities-1 {
		t.Fatalf("known: %d endpoints", len(known))
	}
	if n := len(known[0].Current.Evidence.Answer); n > MaxEvidence {
		t.Errorf("%d bytes of evidence are kept", n)
	}
}

// TestLongestEvent has the most that two endpoints can say, which no step but
// the last makes short enough.
func TestLongestEvent(t *testing.T) {
	v := hostileVisit(day1, strings.Repeat(`"`, 64<<10))
	o := clean(v.Observation, v.Key)
	for _, action := range []event.Action{event.ServiceChanged, event.ServiceBaseline} {
		before := dump(t, o)
		ev := event.Event{Action: action, Message: strings.Repeat(`"`, maxMessage),
			Watch: strings.Repeat("w", 64), Changed: make([]string, 11)}
		ev.Endpoint, ev.Evidence = told(&o)
		ev.Previous, _ = told(&o)
		line, err := encodeEvent(&ev)
		if err != nil {
			t.Fatal(err)
		}
		checkLine(t, []byte(line))
		if dump(t, o) != before {
			t.Error("shortening the event changed the endpoint")
		}
	}
}

func TestScrub(t *testing.T) {
	for in, want := range map[string]string{
		"HTTP/1.1 200 OK\r\nSet-Cookie: sid=0123456789; Path=/\r\nServer: x\r\n": "HTTP/1.1 200 OK\r\nSet-Cookie: sid=**********; Path=/\r\nServer: x\r\n",
		"set-cookie: a=b": "set-cookie: a=*",
		`WWW-Authenticate: Digest realm="r", nonce="abcdefgh", qop="auth"`: `WWW-Authenticate: Digest realm="r", nonce="********", qop="auth"`,
		`{"token": "0123456789abcdef","v":1}`:                              `{"token": "****************","v":1}`,
		"SSH-2.0-OpenSSH_9.2p1\r\n":                                        "SSH-2.0-OpenSSH_9.2p1\r\n",
	} {
		before := in
		if got := string(scrub([]byte(in))); got != want {
			t.Errorf("scrub %q\n got %q\nwant %q", in, got, want)
		}
		if in != before {
			t.Error("the answer itself was changed")
		}
	}
}

func TestCPEs(t *testing.T) {
	for _, c := range []struct {
		a, b     []string
		conflict bool
	}{
		{nil, []string{"cpe:/a:x:y:1"}, false},
		{[]string{"cpe:/a:x:y"}, []string{"cpe:/a:x:y:1"}, false},
		{[]string{"cpe:/a:x:y:1"}, []string{"cpe:/a:x:y:2"}, true},
		{[]string{"cpe:/a:x:y:1"}, []string{"cpe:/o:linux:linux_kernel"}, false},
		{[]string{"cpe:/a:x:y:1", "cpe:/a:p:q"}, []string{"cpe:/a:x:y:1"}, false},
		{[]string{"cpe:/a:x:y:1", "cpe:/o:a:b"}, []string{"cpe:/a:x:y:1", "cpe:/o:c:d"}, true},
	} {
		if got := cpesConflict(c.a, c.b); got != c.conflict {
			t.Errorf("%v and %v: conflict %t", c.a, c.b, got)
		}
		if got := cpesConflict(c.b, c.a); got != c.conflict {
			t.Errorf("%v and %v: conflict %t", c.b, c.a, got)
		}
	}
}

// FuzzDecide sends two hostile texts through decision and event, as two
// services that follow each other at one endpoint.
func FuzzDecide(f *testing.F) {
	for i, s := range hostile {
		next := hostile[(i+1)%len(hostile)]
		f.Add(s[:min(len(s), 2000)], next[:min(len(next), 100)], uint8(i))
	}
	f.Add("nginx/1.24", "nginx/1.26", uint8(3))
	f.Fuzz(func(t *testing.T, a, b string, which uint8) {
		var old *Endpoint
		at := day1
		for n, text := range []string{a, a, b, b, b, a} {
			at = at.Add(time.Minute)
			v := hostileVisit(at, text)
			if n%2 == 0 && which&1 != 0 {
				v.AbsentAt = day1
			}
			if which&2 != 0 {
				v.Observation.TLS = nil
			}
			e, events := Decide(old, v, DefaultRules())
			for i := range events {
				line, err := encodeEvent(&events[i])
				if err != nil {
					t.Fatal(err)
				}
				checkLine(t, []byte(line))
			}
			old = &e
		}
	})
}

// FuzzState reads what the tables may hold: anything, as any tool may have
// written there. What is read is written the same way again.
func FuzzState(f *testing.F) {
	v := visitOf("192.0.2.1", 22, day1, "OpenSSH", "9.2")
	e, _ := Decide(nil, v, DefaultRules())
	v.At, v.Observation.Version = day1.Add(time.Minute), "9.3"
	e, _ = Decide(&e, v, DefaultRules())
	text, err := encodeState(&e)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("{}")
	f.Add(`{"pending":null,"closed":{"Count":-1}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var e, again Endpoint
		if decodeState(text, false, &e) != nil {
			return
		}
		once, err := encodeState(&e)
		if err != nil {
			t.Skip("a time or number that JSON cannot express")
		}
		if err := decodeState(once, false, &again); err != nil {
			t.Fatal(err)
		}
		if twice, err := encodeState(&again); err != nil || twice != once {
			t.Errorf("%s\nbecame %s, %v", once, twice, err)
		}
	})
}
