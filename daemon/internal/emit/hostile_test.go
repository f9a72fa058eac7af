package emit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/leodido/go-syslog/v4/rfc5424"

	"sonde/daemon/internal/event"
	"sonde/match"
	"sonde/probes"
)

// corpus is what hosts may answer to attack who reads about them: each string
// goes through every sink and format.
var corpus = map[string]string{
	"control bytes":   "a\x00\x01\x07\x08\x0b\x0c\x1f\x7fz",
	"C1 controls":     "a\u0080\u0085\u009b31mz",
	"ANSI":            "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J\x1b[H",
	"CR LF":           "one\r\ntwo\nthree\rfour",
	"forged syslog":   "x\n<0>1 2026-01-01T00:00:00Z evil sonde 1 service.gone - all is well",
	"forged frame":    "x\n57 <0>1 2026-01-01T00:00:00Z evil sonde 1 service.gone - x",
	"forged CEF":      "x\nCEF:0|Evil|Evil|1|1|gone|10| dst=10.0.0.1 cs1=y cs1Label=watch",
	"forged fields":   ` dst=203.0.113.9 msg=forged externalId=0`,
	"forged JSON":     `","action":"service.gone","x":"` + "\n" + `{"schema":"sonde/1","seq":1}`,
	"forged journal":  "x\nPRIORITY=0\nMESSAGE=forged\n_UID=0",
	"brackets":        `]"] [y@1 z="1"] \] \\] \`,
	"quotes":          `" ' ` + "`" + ` \" \\ \`,
	"bars":            `a|b|\|c=d\=e`,
	"invalid UTF-8":   "\xff\xfe\xc0\xaf\xed\xa0\x80\xf5z",
	"bidi marks":      "\u202eexe.txt\u202c \u2066x\u2069 \u200e\u200f\u061c",
	"separators":      "a\u2028b\u2029c\ufeffd\u200be",
	"private and not": "\ue000\ufffe\U000e0041\U0010ffff",
	"64 KiB":          strings.Repeat("A\x1b", 32<<10),
	"64 KiB of marks": strings.Repeat(`]"\=|`, 13<<10),
	"cee":             `@cee: {"action":"forged"}`,
	"format verbs":    "%s%n%x ${jndi:ldap://x} {{7*7}} <script>alert(1)</script>",
}

// attack is a record with the string in every field that a host, or its
// certificate, has a say in.
func attack(s string) Record {
	r := sample(77, event.ServiceChanged)
	e := r.Event
	o := probes.Observation{Addr: netip.MustParseAddr("192.0.2.7"), Port: 443, Transport: probes.TCP,
		Reason: s, Names: []string{s}, Identity: match.Identity{Service: s, Product: s, Version: s, Info: s,
			Hostname: s, OS: s, Device: s, CPE: []string{s}}, Probe: s, Rule: s, Fingerprint: s,
		TLS: []probes.TLSFacts{{Name: s, Version: s, Cipher: s, ALPN: s, Alert: s, Offered: s, ClientCert: s,
			Certificate: &probes.Certificate{Subject: s, Issuer: s, SANs: []string{s}, Key: s, SHA256: s, Error: s}}},
		RPC:        []probes.RPCFacts{{Program: 1, Name: s}},
		SSHHostKey: &probes.SSHHostKey{Type: s, SHA256: s},
		Evidence:   &probes.Evidence{Probe: s, Rule: s, Database: s, Answer: probes.Bytes(s)}}
	e.Endpoint, e.Previous, e.Evidence = &o, &o, o.Evidence
	e.Message, e.Watch, e.Zone, e.Owner, e.MAC, e.Reason = s, s, s, s, s, s
	e.Changed, e.Hosts, e.Counts = []string{s}, []string{s}, map[string]int{s: 1}
	e.Services = []event.Service{{Transport: probes.TCP, Port: 1, Service: s, Product: s}}
	e.Sensor = event.Sensor{Name: s, UUID: s, Version: s}
	return rerecord(e)
}

// harmless demands one line of printable text.
func harmless(t *testing.T, what string, line []byte) {
	t.Helper()
	if !utf8.Valid(line) {
		t.Errorf("%s: not UTF-8: %.200q", what, line)
	}
	for _, c := range string(line) {
		if unprintable(c) && c != utf8.RuneError {
			t.Fatalf("%s: %U in %.200q", what, c, line)
		}
	}
}

func TestAttacksInEveryFormat(t *testing.T) {
	h := &header{3, "probe1", 1, "/var/lib/sonde/events.json"}
	for name, s := range corpus {
		r := attack(s)
		for _, f := range []Format{Sonde, ECS, CEF} {
			for what, c := range map[string]struct {
				line []byte
				most int
			}{
				"line":   {AppendLine(nil, f, &r), len(r.JSON) * 6},
				"udp":    {appendRFC5424(nil, h, f, &r, maxDatagram), maxDatagram},
				"stream": {appendRFC5424(nil, h, f, &r, maxStream), maxStream},
				"local":  {appendLocal(nil, h, f, &r), maxLocal},
			} {
				what := name + ", " + string(f) + ", " + what
				harmless(t, what, c.line)
				if len(c.line) > c.most {
					t.Errorf("%s: %d bytes, at most %d", what, len(c.line), c.most)
				}
				checkForm(t, what, f, c.line, &r)
			}
		}
	}
}

// checkForm reads a record as its receiver would and demands that nothing was
// forged.
func checkForm(t *testing.T, what string, f Format, line []byte, r *Record) {
	t.Helper()
	body := line
	switch {
	case strings.Contains(what, "udp"), strings.Contains(what, "stream"):
		msg, err := rfc5424.NewParser().Parse(line)
		if err != nil {
			t.Fatalf("%s: %v in %.300q", what, err, line)
		}
		m := msg.(*rfc5424.SyslogMessage)
		sd := *m.StructuredData
		if len(sd) != 1 || sd[sdID]["id"] != r.Event.ID || sd[sdID]["seq"] != "77" ||
			*m.Hostname != "probe1" || *m.MsgID != "service.changed" || *m.Priority != 3*8+4 {
			t.Errorf("%s: read as %+v %v", what, m.Base, sd)
		}
		if f == Sonde {
			return
		}
		body = []byte(*m.Message)
	case strings.Contains(what, "local"):
		head, rest, ok := strings.Cut(string(line), "sonde[1]: ")
		if _, err := time.Parse(time.Stamp+" ", strings.TrimPrefix(head, "<28>")); !ok || err != nil {
			t.Errorf("%s: header %q: %v", what, head, err)
		}
		body = []byte(strings.TrimPrefix(rest, "@cee: "))
	}
	if f == CEF {
		if got := parseCEF(string(body)); got["externalId"] != r.Event.ID || got["cn1"] != "77" ||
			got["dst"] != "192.0.2.7" || got["dpt"] != "443" || got["5"] != "service.changed" {
			t.Errorf("%s: read as %v", what, got)
		}
		return
	}
	var doc struct {
		ID, Action string
		Event      struct{ ID, Action string }
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatalf("%s: %v in %.300q", what, err, body)
	}
	if doc.ID+doc.Event.ID != r.Event.ID || strings.Contains(doc.Action+doc.Event.Action, "gone") {
		t.Errorf("%s: read as %+v", what, doc)
	}
}

// parseCEF splits a line by the rules of the format: header fields by number
// from 1, the extension by its keys, the first of each. It fails nothing: what
// it gives is compared.
func parseCEF(line string) map[string]string {
	out := map[string]string{}
	parts := strings.SplitN(line, "|", 8)
	for i, p := range parts[:min(7, len(parts))] {
		out[string(rune('1'+i))] = p
	}
	if len(parts) < 8 {
		return out
	}
	key, value, escaped := "", []byte{}, false
	flush := func() {
		if _, again := out[key]; key != "" && !again {
			out[key] = strings.TrimSpace(string(value))
		}
	}
	for _, c := range []byte(parts[7]) {
		switch {
		case escaped:
			value, escaped = append(value, c), false
		case c == '\\':
			escaped = true
		case c == '=':
			text := string(value)
			cut := strings.LastIndexByte(text, ' ')
			value = []byte(text[:max(cut, 0)])
			flush()
			key, value = text[cut+1:], nil
		default:
			value = append(value, c)
		}
	}
	flush()
	return out
}

// TestAttacksInFiles writes all of them to the event file and to a terminal.
func TestAttacksInFiles(t *testing.T) {
	for _, format := range []Format{Sonde, ECS} {
		dir := t.TempDir()
		s, err := NewJSONFile(JSONFileConfig{Path: filepath.Join(dir, "events.json"), Format: format,
			MaxSize: 1 << 30, Keep: 1, Sensor: event.Sensor{Name: corpus["ANSI"], UUID: corpus["CR LF"]}, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Resume(testEpoch, 0); err != nil {
			t.Fatal(err)
		}
		var screen bytes.Buffer
		seq := int64(0)
		for _, attacker := range corpus {
			r := attack(attacker)
			seq++
			r.Event.Seq = seq
			r = rerecord(r.Event)
			if n, err := s.Deliver(t.Context(), []Record{r}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			if _, err := NewTerminal(&screen).Deliver(t.Context(), []Record{r}); err != nil {
				t.Fatal(err)
			}
		}
		s.Close()
		data, err := os.ReadFile(filepath.Join(dir, "events.json"))
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
		if len(lines) != len(corpus)+1 {
			t.Errorf("%s: %d lines, want a header and %d events", format, len(lines), len(corpus))
		}
		for i, line := range lines {
			harmless(t, string(format), line)
			if epoch, n := seqOf(line); i > 0 && (n != int64(i) || epoch != testEpoch) {
				t.Errorf("%s: line %d has number %d of epoch %d", format, i, n, epoch)
			}
		}
		sc := bufio.NewScanner(&screen)
		sc.Buffer(nil, 1<<20)
		n := 0
		for sc.Scan() {
			n++
			harmless(t, "terminal", sc.Bytes())
		}
		if n != len(corpus) {
			t.Errorf("terminal: %d lines for %d events", n, len(corpus))
		}
	}
}

func FuzzFormats(f *testing.F) {
	const longest = 1 << 10 // twice what the inventory keeps of any string
	for _, s := range corpus {
		f.Add(s[:min(len(s), longest)])
	}
	h := &header{3, "probe1", 1, ""}
	f.Fuzz(func(t *testing.T, s string) {
		s = s[:min(len(s), longest)]
		r := attack(s)
		for _, format := range []Format{Sonde, ECS, CEF} {
			line := AppendLine(nil, format, &r)
			harmless(t, string(format), line)
			checkForm(t, string(format), format, line, &r)
			line = appendRFC5424(nil, h, format, &r, maxDatagram)
			harmless(t, "udp", line)
			checkForm(t, "udp", format, line, &r)
		}
	})
}
