package inventory

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// A tableCase is one case of testdata/decide.txt; the file explains itself.
type tableCase struct {
	name    string
	network bool // of several hosts: judged by the store
	rules   Rules
	steps   []*tableStep
}

type tableStep struct {
	line   int
	pass   *Pass // instead of visits
	visit  Visit // of a case of one endpoint
	visits []Visit
	tells  []map[string]string
	next   string
	status string
}

var day1 = time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC)

func TestDecideTable(t *testing.T) {
	cases := readTable(t, "testdata/decide.txt")
	if len(cases) < 40 {
		t.Fatalf("%d cases, want at least 40", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.network {
				c.runNetwork(t)
				return
			}
			var known *Endpoint
			for _, s := range c.steps {
				before := dump(t, known)
				e, events := Decide(known, s.visit, DefaultRules())
				if dump(t, known) != before {
					t.Errorf("line %d: the old endpoint was modified", s.line)
				}
				s.check(t, &e, events)
				known = &e
				if e.Status == Unknown {
					known = nil
				}
			}
		})
	}
}

func dump(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (s *tableStep) check(t *testing.T, e *Endpoint, events []event.Event) {
	t.Helper()
	s.checkEvents(t, events)
	s.checkStanding(t, e.Status, e.Next)
}

func (s *tableStep) checkEvents(t *testing.T, events []event.Event) {
	t.Helper()
	if len(events) != len(s.tells) {
		t.Errorf("line %d: tells %d events, want %d: %v", s.line, len(events), len(s.tells), lines(events))
		return
	}
	for i, want := range s.tells {
		for key, value := range want {
			if got := eventValue(&events[i], key); got != value {
				t.Errorf("line %d: %s is %q, want %q", s.line, key, got, value)
			}
		}
		if m := events[i].Message; m == "" || strings.ContainsAny(m, "\n\r") {
			t.Errorf("line %d: message %q", s.line, m)
		}
	}
}

func (s *tableStep) checkStanding(t *testing.T, stands Status, due Next) {
	t.Helper()
	next := "none"
	if !due.At.IsZero() {
		next = clock(due.At) + " " + string(due.Why)
	}
	if s.next != "" && next != s.next {
		t.Errorf("line %d: next is %s, want %s", s.line, next, s.next)
	}
	status := string(stands)
	if stands == Unknown {
		status = "unknown"
	}
	if s.status != "" && status != s.status {
		t.Errorf("line %d: status %s, want %s", s.line, status, s.status)
	}
}

func lines(events []event.Event) (out []string) {
	for _, e := range events {
		out = append(out, string(e.Action)+" "+e.Message)
	}
	return out
}

func eventValue(e *event.Event, key string) string {
	switch key {
	case "action":
		return string(e.Action)
	case "kind":
		return string(e.ChangeKind)
	case "severity":
		return string(e.Severity)
	case "cause":
		return string(e.Cause)
	case "reason":
		return e.Reason
	case "changed":
		return strings.Join(e.Changed, ",")
	case "confirmations":
		return strconv.Itoa(e.Confirmations)
	case "absent_at":
		return clock(e.AbsentAt)
	case "first_seen":
		return clock(e.FirstSeen)
	case "days_left":
		if e.DaysLeft == nil {
			return ""
		}
		return strconv.Itoa(*e.DaysLeft)
	case "last_seen":
		return clock(e.LastSeen)
	}
	if v, ok := networkValue(e, key); ok {
		return v
	}
	of, field, _ := strings.Cut(key, ".")
	o := e.Endpoint
	if of == "previous" {
		o = e.Previous
	}
	return observationValue(o, field)
}

func observationValue(o *probes.Observation, field string) string {
	switch {
	case o == nil:
		return ""
	case field == "service":
		return o.Service
	case field == "product":
		return o.Product
	case field == "version":
		return o.Version
	case field == "cert":
		if len(o.TLS) == 0 || o.TLS[0].Certificate == nil {
			return ""
		}
		return o.TLS[0].Certificate.SHA256
	case field == "key":
		if o.SSHHostKey == nil {
			return ""
		}
		return o.SSHHostKey.SHA256
	case field == "addr":
		return o.Addr.String()
	case field == "outcome":
		return string(o.Outcome)
	case field == "strength":
		return string(o.Strength)
	default:
		return "no field " + field
	}
}

func clock(t time.Time) string {
	s := t.Format("15:04:05.999")
	if d := int(t.Sub(day1) / (24 * time.Hour)); d > 0 {
		s = fmt.Sprintf("d%d %s", d+1, s)
	}
	return s
}

func readTable(t *testing.T, path string) (cases []*tableCase) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := tableReader{t: t, path: path}
	for s := bufio.NewScanner(f); s.Scan(); {
		r.line++
		r.read(s.Text())
	}
	return r.cases
}

type tableReader struct {
	t         *testing.T
	path      string
	line      int
	cases     []*tableCase
	step      *tableStep
	swept     time.Time
	transport probes.Transport
	at        string // of the visit: hosts and ports
}

func (r *tableReader) read(text string) {
	words := strings.Fields(text)
	if len(words) == 0 || strings.HasPrefix(text, "#") {
		return
	}
	switch rest := words[1:]; {
	case words[0] == "case":
		r.cases = append(r.cases, &tableCase{name: strings.Join(rest, " "), rules: DefaultRules()})
		r.step, r.swept, r.transport = nil, time.Time{}, probes.TCP
	case words[0] == "udp":
		r.transport = probes.UDP
	case words[0] == "network":
		r.last().network = true
	case words[0] == "rule":
		r.last().rules.Dynamic = rest[0] == "dynamic=yes"
	case words[0] == "swept":
		r.swept, rest = r.time(rest)
		r.sweep(len(rest) > 0)
	case words[0] == "tells":
		n, err := strconv.Atoi(rest[0])
		if err == nil {
			rest = rest[1:]
		}
		want := map[string]string{"action": rest[0]}
		for _, w := range rest[1:] {
			key, value, _ := strings.Cut(w, "=")
			want[key] = value
		}
		for range max(n, 1) {
			r.step.tells = append(r.step.tells, want)
		}
	case words[0] == "next":
		r.step.next = strings.Join(rest, " ")
	case words[0] == "status":
		r.step.status = rest[0]
	default:
		r.visit(words)
	}
}

// time reads "15:04:05" or "d2 15:04:05" and gives the words behind it.
func (r *tableReader) time(words []string) (time.Time, []string) {
	at := day1
	if n, err := strconv.Atoi(strings.TrimPrefix(words[0], "d")); err == nil {
		at = at.AddDate(0, 0, n-1)
		words = words[1:]
	}
	c, err := time.Parse("15:04:05", words[0])
	if err != nil {
		r.t.Fatalf("%s:%d: %v", r.path, r.line, err)
	}
	return at.Add(c.Sub(c.Truncate(24 * time.Hour))), words[1:]
}

func (r *tableReader) visit(words []string) {
	at, words := r.time(words)
	v := Visit{
		Key: event.Key{Zone: "default", Addr: netip.MustParseAddr("192.0.2.1"),
			Transport: r.transport, Port: 4242},
		Watch: "w", At: at, HostAlive: at, AbsentAt: r.swept,
	}
	o := &v.Observation
	o.Outcome = probes.Outcome(words[0])
	switch o.Outcome {
	case probes.OutcomeAnswered:
		o.Strength, o.Probe = probes.Hard, "NULL"
	case probes.OutcomeRefused:
		o.State = probes.Closed
	case probes.OutcomeSilent:
		o.State = probes.Filtered
	}
	r.at = ""
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		r.set(&v, key, strings.ReplaceAll(value, "_", " "))
	}
	if o.Evidence != nil {
		o.Evidence.Probe = o.Probe
	}
	r.step = &tableStep{line: r.line, visit: v, visits: r.spread(v)}
	r.last().steps = append(r.last().steps, r.step)
}

func (r *tableReader) set(v *Visit, key, value string) {
	o := &v.Observation
	strs := map[string]*string{
		"service": &o.Service, "product": &o.Product, "version": &o.Version, "os": &o.OS,
		"device": &o.Device, "info": &o.Info, "hostname": &o.Hostname,
		"probe": &o.Probe, "database": &o.Database,
	}
	switch key {
	case "open":
		o.State = probes.Open
	case "cpe":
		o.CPE = append(o.CPE, value)
	case "names":
		o.Names = strings.Split(value, ",")
	case "asked":
		o.Asked = strings.Split(value, ",")
	case "tunnel":
		o.Tunnel = probes.Tunnel(value)
	case "strength":
		o.Strength = probes.Strength(value)
	case "cert":
		o.TLS = append(o.TLS, probes.TLSFacts{Certificate: &probes.Certificate{SHA256: value}})
	case "key":
		kind, sum, ok := strings.Cut(value, ":")
		if !ok {
			kind, sum = "ssh-ed25519", value
		}
		o.SSHHostKey = &probes.SSHHostKey{Type: kind, SHA256: sum}
	case "issuer":
		o.TLS[len(o.TLS)-1].Certificate.Issuer = value
	case "sans":
		o.TLS[len(o.TLS)-1].Certificate.SANs = strings.Split(value, ",")
	case "ends":
		o.TLS[len(o.TLS)-1].Certificate.NotAfter, _ = r.time([]string{value, "00:00:00"})
	case "sni":
		o.TLS[len(o.TLS)-1].Name = value
	case "way":
		v.Way = value
	case "at":
		r.at = value
	case "mac":
		v.MAC = value
	case "vlan":
		v.VLAN, _ = strconv.Atoi(value)
	case "zone":
		v.Key.Zone = value
	case "crowd":
		v.Crowd, _ = strconv.Atoi(value)
	case "why":
		o.Reason = value
	case "late":
		v.Late = true
	case "unsynced":
		v.Unsynced = true
	case "answer":
		o.Evidence = &probes.Evidence{Answer: probes.Bytes(value)}
	case "host":
		v.HostAlive, _ = r.time([]string{value})
	default:
		if strs[key] == nil {
			r.t.Fatalf("%s:%d: unknown word %q", r.path, r.line, key)
		}
		*strs[key] = value
	}
}
