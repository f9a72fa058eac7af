package fingerprint

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/match"
	"sonde/probes"
)

// banner and reply are what a server of our own said to nmap 7.93, whose
// fingerprint of it is testdata/nmap.txt.
func banner() []byte {
	return []byte("Frob 1.0 (c) 2026 \"x\" [y] a.b*c+d$e^f|g?h\\i\x000\x00z\r\n\t\x7f\xff\x01\x1b5/~`'{}<>=;:,!@#%&_-\n")
}

func reply() []byte {
	var all []byte
	for b := 255; b >= 0; b-- {
		all = append(all, byte(b))
	}
	return slices.Concat(banner(), []byte("ERR 4 "), bytes.Repeat(all, 5), []byte("\n"))
}

var nmapHeader = Header{Port: 47113, Transport: probes.TCP, Version: "7.93", Intensity: 7,
	Time: time.Unix(0x6B03E88E, 0).UTC(), Platform: "x86_64-pc-linux-gnu"}

func answer(probe string, data []byte) probes.Answer {
	return probes.Answer{Probe: probe, Data: data, Length: len(data)}
}

func TestSameAsNmap(t *testing.T) {
	want, err := os.ReadFile("testdata/nmap.txt")
	if err != nil {
		t.Fatal(err)
	}
	c := New(nmapHeader)
	c.Add(answer("NULL", banner()))
	c.Add(answer("GenericLines", reply()))
	c.Add(answer("GetRequest", reply())) // too much
	if diff := cmp.Diff(string(want), c.String()+"\n"); diff != "" {
		t.Errorf("(-nmap +ours):\n%s", diff)
	}
	flat := strings.ReplaceAll(strings.TrimSuffix(string(want), "\n"), "\nSF:", "")
	if got := c.Text(); got != flat {
		t.Errorf("in one line:\n%s\nwant:\n%s", got, flat)
	}
}

func TestHeader(t *testing.T) {
	at := time.Date(2026, 3, 7, 23, 59, 0, 0, time.UTC)
	for _, c := range []struct {
		h    Header
		want string
	}{
		{Header{Port: 53, Transport: probes.UDP, Version: "Sonde-1.2", Intensity: 9, Time: at, Platform: "linux/amd64"},
			`SF-Port53-UDP:V=Sonde-1.2%I=9%D=3/7%Time=69ACBBC4%P=linux/amd64%r(NULL,1,"a");`},
		{Header{Port: 443, Transport: probes.TCP, Tunnel: probes.TLS, Version: "1", Time: at, Platform: "p"},
			`SF-Port443-TCP:V=1%T=SSL%I=0%D=3/7%Time=69ACBBC4%P=p%r(NULL,1,"a");`},
		{Header{Port: 443, Transport: probes.UDP, Tunnel: probes.DTLS, Version: "a b%\n", Time: at},
			`SF-Port443-UDP:V=a_b__%T=SSL%I=0%D=3/7%Time=69ACBBC4%P=unknown%r(NULL,1,"a");`},
	} {
		collector := New(c.h)
		collector.Add(answer("", []byte("a")))
		if got := collector.Text(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// The limit counts the text as wrapped (nmap 7.93): of banners of 500 letters
// it adds four, which are 2,167 characters, or 2,283 with the breaks.
func TestLimits(t *testing.T) {
	c := New(nmapHeader)
	for range 9 {
		c.Add(answer("GenericLines", bytes.Repeat([]byte("a"), 500)))
	}
	if n := strings.Count(c.Text(), "%r("); n != 4 {
		t.Errorf("%d answers in %d characters, %d wrapped", n, len(c.Text()), len(c.String()))
	}
	long := New(nmapHeader)
	long.Add(answer("NULL", bytes.Repeat([]byte("\x01"), 5000)))
	if got := long.Text(); !strings.Contains(got, "%r(NULL,1388,") || strings.Count(got, `\x01`) != 900 {
		t.Errorf("5,000 bytes become %.120s…, %d of them", got, strings.Count(got, `\x01`))
	}
}

func TestWrap(t *testing.T) {
	for n := range 400 {
		text := strings.Repeat("x", n)
		got := Wrap(text)
		if len(got) != wrapped(n) {
			t.Fatalf("%d characters: wrapped %d, foretold %d", n, len(got), wrapped(n))
		}
		if strings.ReplaceAll(got, "\nSF:", "") != text {
			t.Fatalf("%d characters: lost some in %q", n, got)
		}
		lines := strings.Split(got, "\n")
		for i, line := range lines {
			if len(line) > Width || i < len(lines)-1 && len(line) != Width {
				t.Fatalf("%d characters: line %d has %d", n, i, len(line))
			}
		}
	}
}

func TestOf(t *testing.T) {
	base := func(change func(*probes.Observation)) *probes.Observation {
		o := &probes.Observation{Port: 7, Transport: probes.TCP, Strength: probes.Unmatched,
			Outcome: probes.OutcomeAnswered, At: time.Unix(0, 0).UTC(),
			Answers: []probes.Answer{{Probe: "NULL", Data: []byte("hi"), Length: 2},
				{Probe: "Help", Length: 0}, {Probe: "GetRequest", Data: []byte("b"), Length: 1}}}
		change(o)
		return o
	}
	const head = `SF-Port7-TCP:V=v%I=7%D=1/1%Time=0%P=p`
	for _, c := range []struct {
		name      string
		o         *probes.Observation
		intensity int
		want      string
	}{
		{"nothing known", base(func(*probes.Observation) {}), 7, head + `%r(NULL,2,"hi")%r(GetRequest,1,"b");`},
		{"only the port number", base(func(o *probes.Observation) { o.Strength = probes.Table }), 7,
			head + `%r(NULL,2,"hi")%r(GetRequest,1,"b");`},
		{"soft", base(func(o *probes.Observation) { o.Strength = probes.Soft }), 7,
			head + `%r(NULL,2,"hi")%r(GetRequest,1,"b");`},
		{"soft in a light scan", base(func(o *probes.Observation) { o.Strength = probes.Soft }), 2, ""},
		{"hard", base(func(o *probes.Observation) { o.Strength = probes.Hard }), 7, ""},
		{"refused", base(func(o *probes.Observation) {
			o.Strength, o.Outcome = probes.Soft, probes.OutcomeBlocked
		}), 9, ""},
		{"silent", base(func(o *probes.Observation) { o.Answers = nil }), 7, ""},
		{"in a tunnel", base(func(o *probes.Observation) {
			o.Tunnel, o.Answers[2].Tunnel = probes.TLS, probes.TLS
		}), 7, `SF-Port7-TCP:V=v%T=SSL%I=7%D=1/1%Time=0%P=p%r(GetRequest,1,"b");`},
		{"evidence only", base(func(o *probes.Observation) {
			o.Answers, o.Evidence = nil, &probes.Evidence{Answer: []byte("x")}
		}), 7, head + `%r(NULL,1,"x");`},
	} {
		if got := Of(c.o, Settings{Version: "v", Platform: "p", Intensity: c.intensity}); got != c.want &&
			strings.Replace(got, "%I=2", "%I=7", 1) != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestOfScrubs(t *testing.T) {
	o := &probes.Observation{Port: 7, Transport: probes.TCP, Names: []string{"thor.example.org"},
		Identity: match.Identity{Hostname: "loki"},
		TLS:      []probes.TLSFacts{{Certificate: &probes.Certificate{SANs: []string{"*.odin.example"}}}},
		Answers: []probes.Answer{{Probe: "NULL", Length: 99,
			Data: []byte("Thor and LOKI and x.odin.example at thor.example.org, thorough")}}}
	data := bytes.Clone(o.Answers[0].Data)
	got := Of(o, Settings{Scrub: true})
	const want = `"xxxx\x20and\x20xxxx\x20and\x20x\.xxxx\.xxxxxxx\x20at\x20xxxx\.xxxxxxx\.xxx,\x20thorough"`
	if !strings.Contains(got, want) {
		t.Errorf("got %s, want %s in it", got, want)
	}
	if !bytes.Equal(data, o.Answers[0].Data) {
		t.Error("the answer itself was changed")
	}
}
