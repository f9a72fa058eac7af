//go:build integration && linux

package emit

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sonde/daemon/internal/event"
)

// need gives the path of a program, or skips the test with its package. With
// SONDE_CI the skip is a failure, see .ci/skips.
func need(t *testing.T, pkg string, paths ...string) string {
	t.Helper()
	for _, p := range paths {
		if found, err := exec.LookPath(p); err == nil {
			return found
		}
	}
	t.Skipf("%s is missing: install the Debian package %s", paths[0], pkg)
	return ""
}

// start runs a server until the test ends.
func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("%s said: %s", filepath.Base(cmd.Path), text)
		}
	})
}

// freePort gives a port of 127.0.0.1 that nothing listens on, for both
// transports.
func freePort(t *testing.T) int {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		pc, err := net.ListenPacket("udp", l.Addr().String())
		l.Close()
		if err == nil {
			pc.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// patience is how long a server may take for anything, on a busy machine.
const patience = 60 * time.Second

func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !yes(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// site is a syslog server with all inputs, and what it writes: a JSON object a
// line for each message that it parsed.
type site struct {
	udp, tcp, tls int
	socket        string
	out           string
	files         TLSFiles
}

func newSite(t *testing.T) (*site, *authority) {
	t.Helper()
	dir := t.TempDir()
	ca := newAuthority(t, dir, "ca")
	ca.issue(t, "server.example")
	ca.issue(t, "sensor.example")
	return &site{freePort(t), freePort(t), freePort(t), filepath.Join(dir, "log.sock"), filepath.Join(dir, "out.json"),
		TLSFiles{CA: ca.file("ca.crt"), Certificate: ca.file("sensor.example.crt"),
			Key: ca.file("sensor.example.key"), ServerName: "server.example"}}, ca
}

// sink gives our end of one of the inputs.
func (s *site) sink(network string, f Format) Sink {
	cfg := SyslogConfig{Name: SyslogName, Network: network, Format: f, Facility: 16, Hostname: "probe1",
		Full: "/var/lib/sonde/events.json", Resend: 64, TLS: s.files.Load}
	switch network {
	case "udp":
		cfg.Address = fmt.Sprint("127.0.0.1:", s.udp)
	case "tcp":
		cfg.Address = fmt.Sprint("127.0.0.1:", s.tcp)
	case "tls":
		cfg.Address = fmt.Sprint("127.0.0.1:", s.tls)
	default:
		cfg.Address = s.socket
	}
	return NewSyslog(cfg)
}

// up waits until the server listens everywhere.
func (s *site) up(t *testing.T) {
	t.Helper()
	eventually(t, "the server's sockets", func() bool {
		_, err := os.Stat(s.socket)
		for _, port := range []int{s.tcp, s.tls} {
			c, e := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
			if e != nil {
				return false
			}
			c.Close()
		}
		table, e := os.ReadFile("/proc/net/udp")
		return err == nil && e == nil && strings.Contains(string(table), fmt.Sprintf("0100007F:%04X ", s.udp))
	})
}

// lines gives what the server has written so far.
func (s *site) lines(t *testing.T) (out []map[string]any) {
	t.Helper()
	text, err := os.ReadFile(s.out)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasSuffix(line, "\n") {
			break // it is writing
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("the server wrote what is no JSON: %v: %.500q", err, line)
		}
		out = append(out, m)
	}
	return out
}

// A read is one message as a server has parsed it.
type read struct {
	pri, host, app, msgid, msg string
	sd                         map[string]any // of ours
	body                       map[string]any // JSON of a local message
}

// talk sends samples and attacks by each way and format, and compares what the
// server has parsed with what was sent.
func (s *site) talk(t *testing.T, parse func(map[string]any) read) {
	t.Helper()
	for _, network := range []string{"udp", "tcp", "tls", "unixgram"} {
		for _, f := range []Format{Sonde, ECS, CEF} {
			t.Run(network+" "+string(f), func(t *testing.T) {
				before := len(s.lines(t))
				sink := s.sink(network, f)
				defer sink.Close()
				var sent []Record
				for i, a := range event.Actions() {
					sent = append(sent, sample(int64(i+1), a))
				}
				for _, text := range corpus {
					r := attack(text[:min(len(text), 512)]) // as long as the inventory keeps it
					r.Event.Seq = int64(len(sent) + 1)
					r.Event.ID = event.ID("uuid", testEpoch, r.Event.Seq)
					sent = append(sent, rerecord(r.Event))
				}
				for done := 0; done < len(sent); {
					n, err := sink.Deliver(t.Context(), sent[done:min(done+8, len(sent))])
					if err != nil {
						t.Fatal(err)
					}
					done += n
					if network == "udp" { // which nothing holds back but us
						eventually(t, "datagrams", func() bool { return len(s.lines(t)) >= before+done })
					}
				}
				eventually(t, fmt.Sprint(len(sent), " messages"), func() bool { return len(s.lines(t)) >= before+len(sent) })
				got := s.lines(t)[before:]
				if len(got) != len(sent) {
					t.Fatalf("%d messages sent, %d parsed", len(sent), len(got))
				}
				for i := range sent {
					compare(t, network, f, &sent[i], parse(got[i]))
				}
			})
		}
	}
}

// compare holds a parsed message against the event.
func compare(t *testing.T, network string, f Format, r *Record, m read) {
	t.Helper()
	e := &r.Event
	want := map[string]string{"priority": fmt.Sprint(16*8 + syslogLevel(e.Severity)), "program": "sonde"}
	got := map[string]string{"priority": m.pri, "program": m.app}
	if network != "unixgram" {
		want["host"], got["host"] = "probe1", m.host
		want["msgid"], got["msgid"] = string(e.Action), m.msgid
		fields := pointer(e, "/var/lib/sonde/events.json")
		if f == Sonde {
			fields = append(fields, params(e)...)
		}
		if len(m.sd) < 3 || f != Sonde && len(m.sd) != 3 {
			t.Errorf("event %d: structured data %v", e.Seq, m.sd)
		}
		known := map[string]string{}
		for _, p := range fields {
			known[p[0]] = p[1]
		}
		for name, value := range m.sd { // what has no room is not there
			most := maxParam
			if network != "udp" {
				most = maxStreamParam
			}
			if sent, ok := known[name]; !ok || fmt.Sprint(value) != cutUTF8(clean(sent), most) {
				t.Errorf("event %d: %s parsed as %.200q, sent as %.200q", e.Seq, name, value, sent)
			}
		}
		want["id"], got["id"] = e.ID, fmt.Sprint(m.sd["id"])
		want["seq"], got["seq"] = fmt.Sprint(e.Seq), fmt.Sprint(m.sd["seq"])
	}
	compareBody(t, network, f, e, m, got, want)
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("event %d: %s parsed as %.300q, sent as %.300q", e.Seq, name, got[name], want[name])
		}
	}
}

func compareBody(t *testing.T, network string, f Format, e *event.Event, m read, got, want map[string]string) {
	t.Helper()
	body := m.body
	if f == ECS && network != "unixgram" {
		if err := json.Unmarshal([]byte(m.msg), &body); err != nil {
			t.Errorf("event %d: %v in %.300q", e.Seq, err, m.msg)
		}
	}
	switch {
	case f == CEF:
		cef := parseCEF(strings.TrimSpace(m.msg))
		want["externalId"], got["externalId"] = e.ID, cef["externalId"]
		want["class"], got["class"] = string(e.Action), cef["5"]
	case f == ECS:
		ev, _ := body["event"].(map[string]any)
		want["event.id"], got["event.id"] = e.ID, fmt.Sprint(ev["id"])
		want["event.action"], got["event.action"] = string(e.Action), fmt.Sprint(ev["action"])
	case network == "unixgram":
		want["json id"], got["json id"] = e.ID, fmt.Sprint(body["id"])
		want["json action"], got["json action"] = string(e.Action), fmt.Sprint(body["action"])
	default:
		// Blanks at the ends are the receivers' to drop.
		text := strings.TrimSpace(m.msg)
		if !strings.HasPrefix(strings.TrimSpace(clean(e.Message)), text) || text == "" {
			t.Errorf("event %d: message parsed as %.200q, sent as %.200q", e.Seq, m.msg, e.Message)
		}
	}
}
