//go:build unix

package control

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/quiet"
	"sonde/daemon/internal/sensor"
	"sonde/probes"
)

// refusedWith demands a refusal with a code and some words.
func refusedWith(t *testing.T, err error, code int, words string) {
	t.Helper()
	no, ok := errors.AsType[*Refusal](err)
	if !ok || no.Code != code || !strings.Contains(no.Text, words) {
		t.Errorf("%v, want %d with %q", err, code, words)
	}
}

func TestPauseAndResume(t *testing.T) {
	b := newBench(t)
	var done Done
	if err := b.actor().Post(t.Context(), "/v1/pause", &Command{Target: "lan", Seconds: 3600, Reason: "audit"}, &done); err != nil {
		t.Fatal(err)
	}
	if reason, on := b.gen.Orders.Paused("lan"); !on || reason != "audit" || !strings.HasPrefix(done.Text, "paused: lan, until ") {
		t.Errorf("%q %v, %q", reason, on, done.Text)
	}
	var s Status
	if err := b.reader().Get(t.Context(), "/v1/status", nil, &s); err != nil || len(s.Orders) != 1 || s.Watches[0].ShutReason != "audit" {
		t.Errorf("%+v, %v", s, err)
	}
	if err := b.actor().Post(t.Context(), "/v1/pause", &Command{}, &done); err != nil || done.Text != "paused: lan, slow, until it is taken back" {
		t.Errorf("all: %q, %v", done.Text, err)
	}
	if err := b.actor().Post(t.Context(), "/v1/resume", &Command{}, &done); err != nil || done.Text != "resumed: lan, slow" {
		t.Errorf("all: %q, %v", done.Text, err)
	}
	refusedWith(t, b.actor().Post(t.Context(), "/v1/resume", &Command{Target: "lan"}, &done), 409, "not paused: lan")
	refusedWith(t, b.actor().Post(t.Context(), "/v1/pause", &Command{Target: "wan"}, &done), 404, `no watch "wan"; there are lan, slow`)
	if n := len(b.gen.Orders.Orders()); n != 0 {
		t.Errorf("%d orders are left", n)
	}
	b.within = 100 * time.Millisecond
	b.sensor.set(func(f *fake) { f.hangs = true })
	refusedWith(t, b.actor().Post(t.Context(), "/v1/pause", &Command{Target: "lan"}, &done), 503, "is stored, but the sensor's loop does not answer within 100ms")
	if _, on := b.gen.Orders.Paused("lan"); !on {
		t.Error("what is said to be stored is not")
	}
}

// TestSilence: a target that is written otherwise is the same when it is taken
// back.
func TestSilence(t *testing.T) {
	b := newBench(t)
	var done Done
	for given, taken := range map[string]string{"192.0.2.7/24": "192.0.2.0/24", "::ffff:192.0.2.1": "192.0.2.1",
		"[2001:db8:0::1]:53/udp": "[2001:db8::1]:53/udp", "lan": "lan"} {
		if err := b.actor().Post(t.Context(), "/v1/silence", &Command{Target: given, Seconds: 60}, &done); err != nil {
			t.Errorf("%s: %v", given, err)
			continue
		}
		if o := b.gen.Orders.Orders(); len(o) != 1 || o[0].Target != taken || o[0].Kind != quiet.Silence {
			t.Errorf("%s: %+v", given, o)
		}
		if err := b.actor().Post(t.Context(), "/v1/silence", &Command{Target: taken, End: true}, &done); err != nil {
			t.Errorf("%s: %v", taken, err)
		}
	}
	for about, c := range map[string]struct {
		Command
		code  int
		words string
	}{
		"no time":     {Command{Target: "lan"}, 400, "--for 2h"},
		"no watch":    {Command{Target: "wan", Seconds: 1}, 404, "no watch"},
		"no target":   {Command{Target: "a b", Seconds: 1}, 400, "is no target"},
		"not given":   {Command{Target: "lan", End: true}, 409, "no such order"},
		"a long time": {Command{Target: "lan", Seconds: 1e9}, 400, "between 0 and 366 days"},
		"line breaks": {Command{Target: "lan", Seconds: 1, Reason: "a\nb"}, 400, "control characters"},
		"much to say": {Command{Target: "lan", Seconds: 1, Reason: strings.Repeat("x", 300)}, 500, "longer than 200 bytes"},
	} {
		t.Run(about, func(t *testing.T) {
			refusedWith(t, b.actor().Post(t.Context(), "/v1/silence", &c.Command, &done), c.code, c.words)
		})
	}
}

// TestVerify: what no watch asks never comes to the sensor.
func TestVerify(t *testing.T) {
	b := newBench(t)
	b.sensor.saw = probes.Observation{State: probes.Open, Outcome: probes.OutcomeAnswered,
		Evidence: &probes.Evidence{Answer: []byte("Set-Cookie: id=s3cret; path=/\r\n")}, Fingerprint: "raw"}
	var v Visited
	if err := b.actor().Post(t.Context(), "/v1/verify", &Command{Target: "192.0.2.1:22"}, &v); err != nil {
		t.Fatal(err)
	}
	if v.Endpoint != "192.0.2.1:22/tcp" || v.Zone != "default" || v.Is.State != probes.Open || v.Is.Fingerprint != "" ||
		bytes.Contains(v.Is.Evidence.Answer, []byte("s3cret")) {
		t.Errorf("%+v", v)
	}
	if err := b.actor().Post(t.Context(), "/v1/verify", &Command{Target: "192.0.2.2:22", Zone: "dmz"}, &v); err != nil || v.Zone != "dmz" {
		t.Errorf("%+v, %v", v, err)
	}
	asked := len(b.sensor.verified)
	for target, c := range map[string]struct {
		code  int
		words string
	}{
		"192.0.2.2:22": {409, "zones default and dmz; say which with --zone"}, "192.0.2.1:23": {403, "is not asked: watch lan has this address, and not this port"},
		"192.0.2.9:22/tcp": {403, "192.0.2.9:22/tcp is not asked: an exclude names this address"}, "192.0.2.1": {400, "is no endpoint"},
		"192.0.2.1:22/udp": {403, "is not asked"},
	} {
		refusedWith(t, b.actor().Post(t.Context(), "/v1/verify", &Command{Target: target}, &v), c.code, c.words)
	}
	if n := len(b.sensor.verified); n != asked {
		t.Errorf("the sensor was asked %d times for what is not asked", n-asked)
	}
	for err, code := range map[error]int{sensor.ErrOutOfScope: 403, sensor.ErrShut: 409, sensor.ErrResting: 409,
		sensor.ErrTooMany: 429, sensor.ErrNotRunning: 503} {
		b.sensor.set(func(f *fake) { f.err = fmt.Errorf("verify x: %w", err) })
		refusedWith(t, b.actor().Post(t.Context(), "/v1/verify", &Command{Target: "192.0.2.1:22"}, &v), code, err.Error())
	}
	b.Use(nil)
	refusedWith(t, b.actor().Post(t.Context(), "/v1/verify", &Command{Target: "192.0.2.1:22"}, &v), 503, "try again")
}

func TestReleaseAndReload(t *testing.T) {
	b := newBench(t)
	var done Done
	if err := b.actor().Post(t.Context(), "/v1/release", &Command{Target: "192.0.2.1"}, &done); err != nil || done.Text != "released: 192.0.2.1" {
		t.Errorf("%q, %v", done.Text, err)
	}
	if got := b.sensor.released; len(got) != 1 || got[0] != (event.Host{Zone: "default", Addr: got[0].Addr}) {
		t.Errorf("%+v", got)
	}
	refusedWith(t, b.actor().Post(t.Context(), "/v1/release", &Command{Target: "192.0.2.77"}, &done), 409, "in 0 zones")
	refusedWith(t, b.actor().Post(t.Context(), "/v1/release", &Command{Target: "box"}, &done), 400, "is no address")
	if err := b.actor().Post(t.Context(), "/v1/reload", &Command{}, &done); err != nil {
		t.Error(err)
	}
	b.reloads = errors.New("a.toml:1:1: x\na.toml:2:1: y")
	refusedWith(t, b.actor().Post(t.Context(), "/v1/reload", &Command{}, &done), 422, "a.toml:1:1: x\na.toml:2:1: y")
}

// TestSocketsAreApart: who may ask cannot act, and who acts by another method
// does not.
func TestSocketsAreApart(t *testing.T) {
	b := newBench(t)
	var done Done
	for _, path := range []string{"/v1/verify", "/v1/pause", "/v1/resume", "/v1/silence", "/v1/release", "/v1/reload"} {
		refusedWith(t, b.reader().Post(t.Context(), path, &Command{Target: "lan"}, &done), 404, "")
		resp, err := http.Post("http://"+b.local+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 404 {
			t.Errorf("%s on loopback: %s", path, resp.Status)
		}
		refusedWith(t, b.actor().Get(t.Context(), path, nil, &done), 405, "")
	}
	if len(b.gen.Orders.Orders()) > 0 || len(b.sensor.verified) > 0 || len(b.sensor.released) > 0 {
		t.Error("something was done")
	}
}

func TestCommandsThatAreNone(t *testing.T) {
	for body, words := range map[string]string{
		"": "EOF", "[]": "cannot unmarshal", `{"target":1}`: "cannot unmarshal", `{"tagret":"x"}`: "unknown field",
		`{} {}`: "more than one", `{"for_s":-1}`: "between 0 and", `{"target":"a\u0000"}`: "control characters",
	} {
		_, err := decodeCommand(strings.NewReader(body))
		refusedWith(t, err, 400, words)
	}
}

// FuzzDecodeCommand: a command that is taken has a time that can be added, and
// nothing that breaks a line of the log.
func FuzzDecodeCommand(f *testing.F) {
	for _, s := range []string{`{}`, `{"target":"lan","for_s":3600,"reason":"x"}`, `{"for_s":1e308}`, `{"for_s":31622400}`, `{"target":"\u007f"}`, `{"end":true}{`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := decodeCommand(strings.NewReader(s))
		if err != nil {
			return
		}
		now := time.Unix(1_700_000_000, 0)
		if until := c.until(now); !until.IsZero() && (until.Before(now) || until.Sub(now) > longest) {
			t.Errorf("%q holds until %v", s, until)
		}
		if strings.ContainsAny(c.Target+c.Reason+c.Zone, "\n\r\x00\x1b") {
			t.Errorf("%q has control characters", s)
		}
	})
}
