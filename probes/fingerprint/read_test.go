package fingerprint

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
)

func TestAnswers(t *testing.T) {
	want := []probes.Answer{
		{Probe: "NULL", Data: []byte("a%r(b,1,\"c\")\\x;\x000\x00z\xff"), Length: 20},
		{Probe: "GetRequest", Data: []byte("cut"), Length: 2000},
	}
	c := New(Header{Port: 7, Transport: probes.TCP})
	for _, a := range want {
		c.Add(a)
	}
	got, full, err := Answers(c.Text())
	if diff := cmp.Diff(want, got); diff != "" || full || err != nil {
		t.Errorf("full %t, %v\n%s", full, err, diff)
	}
	for _, of := range []struct {
		transport probes.Transport
		tunnel    probes.Tunnel
	}{{probes.TCP, probes.TLS}, {probes.UDP, probes.DTLS}} {
		c := New(Header{Transport: of.transport, Tunnel: of.tunnel})
		c.Add(probes.Answer{Data: []byte("x"), Length: 1})
		if got, _, err := Answers(c.Text()); err != nil || len(got) != 1 || got[0].Tunnel != of.tunnel || got[0].Probe != "NULL" {
			t.Errorf("%s: %v, %v", of.tunnel, got, err)
		}
	}
	if got, full, err := Answers(""); got != nil || full || err != nil {
		t.Errorf("of no text: %v, %t, %v", got, full, err)
	}
}

// TestAnswersOfAFullText: that there was no room for more is told, and only then.
func TestAnswersOfAFullText(t *testing.T) {
	c := New(nmapHeader)
	for n := range 9 {
		c.Add(answer("Help", []byte(strings.Repeat("a", 500))))
		got, full, err := Answers(c.Text())
		if want := min(n+1, 4); len(got) != want || full != (n >= 3) || err != nil {
			t.Errorf("%d added: %d read, full %t, %v", n+1, len(got), full, err)
		}
	}
}

func TestAnswersOfNoText(t *testing.T) {
	for _, text := range []string{
		"x", `%r(NULL,1,"a");`, `SF-Port1-TCP:V=1;`, `SF-Port1-TCP:V=1%r(`, `SF-Port1-TCP:V=1%r(NULL,1);`,
		`SF-Port1-TCP:V=1%r(NULL,z,"a");`, `SF-Port1-TCP:V=1%r(NULL,1,"ab");`, `SF-Port1-TCP:V=1%r(NULL,1,"\");`,
		`SF-Port1-TCP:V=1%r(NULL,1,"\x1");`, `SF-Port1-TCP:V=1%r(NULL,1,"\xgg");`, `SF-Port1-TCP:V=1%r(NULL,3,"a"b");`,
		`SF-Port1-TCP:V=1%r(NULL,0,"");`, `SF-Port1-TCP:V=1%r(,1,"a");`, `SF-Port1-TCP:V=1%r(NULL,-1,"a");`,
	} {
		if got, _, err := Answers(text); err == nil {
			t.Errorf("%s gives %v", text, got)
		}
	}
}

// FuzzAnswers: what was written is read, and no text does harm.
func FuzzAnswers(f *testing.F) {
	f.Add("NULL", []byte("\x001\r\n\"()\\"), `SF-Port1-TCP:V=1%T=SSL%r(NULL,2,"\x01b")%r(Help,1,"a");`)
	f.Add("a,b", []byte{0}, `SF-Port1-TCP:V=1%r(NULL,1,"\`)
	f.Add("", []byte("%r("), `%r(`)
	f.Fuzz(func(t *testing.T, probe string, data []byte, text string) {
		if list, _, err := Answers(text); err == nil {
			for _, a := range list {
				if len(a.Data) > MaxData || a.Length < len(a.Data) {
					t.Fatalf("%q: %d bytes of %d", text, len(a.Data), a.Length)
				}
			}
		}
		if len(data) == 0 {
			return
		}
		c := New(Header{Port: 1, Transport: probes.TCP, Version: "%r(", Intensity: 7})
		c.Add(probes.Answer{Probe: probe, Data: data, Length: len(data)})
		got, _, err := Answers(c.Text())
		want := []probes.Answer{{Probe: word(probe), Data: data[:min(len(data), MaxData)], Length: len(data)}}
		if probe == "" {
			want[0].Probe = "NULL"
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("%v\n%s", err, diff)
		}
	})
}
