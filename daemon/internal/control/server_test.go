//go:build unix

package control

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/daemon/internal/sensor"
)

func TestStatus(t *testing.T) {
	b := newBench(t)
	var s Status
	if err := b.reader().Get(t.Context(), "/v1/status", nil, &s); err != nil {
		t.Fatal(err)
	}
	age := 90.0
	want := Watch{Name: "lan", Zone: "default", Verify: Promise{Every: 60, Next: time.Unix(2000, 0).UTC()},
		Discover: Promise{Every: 3600, Age: &age}, Known: 3, Fresh: 2, Due: 1, Later: 4}
	if d := cmp.Diff(want, s.Watches[0]); d != "" {
		t.Errorf("watch:\n%s", d)
	}
	if w := s.Watches[1]; w.Name != "slow" || !w.BestEffort || *w.Verify.Age != 7200 || w.Discover.Age != nil {
		t.Errorf("watch %+v", w)
	}
	if s.Sensor.Name != "box" || s.Database != "abc" || s.Visits.UnderWay != 2 || s.Visits.Later != 4 ||
		len(s.Sweeps) != 1 || s.Outputs[0].Backlog != 3 || s.Discovery.Method != "syn" || !s.Health.Healthy {
		t.Errorf("status %+v", s)
	}
}

// TestHealth: each thing that is wrong, alone.
func TestHealth(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		about, of, want string
		do              func()
	}{
		{"all is well", "", "", func() {}},
		{"a promise is broken", "promise", "verify_every = 1m0s is broken: 0 of 3", func() {
			b.sensor.set(func(f *fake) { f.view.Watches[1].VerifyBroken = true })
		}},
		{"the other promise", "promise", "discover_every = 1h0m0s is broken", func() {
			b.sensor.set(func(f *fake) { f.view.Watches[1].DiscoverBroken = true })
		}},
		{"nothing may be asked", "sensor", "the disk is nearly full", func() { b.sensor.set(func(f *fake) { f.view.Held = true }) }},
		{"an output is down", "output", "events are not delivered since 1970-", func() {
			b.outputs = []Output{{Name: "soc", Down: true, Since: time.Unix(5, 0), Backlog: 7}}
		}},
		{"the loop hangs, as the watchdog sees it", "sensor", "has not come round for 3", func() { b.beat = time.Now().Add(-31 * time.Second) }},
		{"another loop hangs", "sensor", "the loop of visits has been at one thing for 42s", func() { b.hanging = "visits" }},
		{"the sensor has ended", "sensor", sensor.ErrNotRunning.Error(), func() { b.sensor.set(func(f *fake) { f.err = sensor.ErrNotRunning }) }},
		{"it is starting", "sensor", "is starting", func() { b.Use(nil) }},
	} {
		b.sensor.set(func(f *fake) { f.view, f.err = overviewOfLan(), nil })
		b.outputs, b.beat, b.hanging = nil, time.Now(), ""
		b.Use(b.gen)
		b.fresh()
		c.do()
		resp, err := http.Get("http://" + b.local + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		var h Health
		err = json.NewDecoder(resp.Body).Decode(&h)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if c.want == "" {
			if resp.StatusCode != http.StatusOK || !h.Healthy || len(h.Problems) > 0 {
				t.Errorf("%s: %d %+v", c.about, resp.StatusCode, h)
			}
			continue
		}
		if resp.StatusCode != http.StatusServiceUnavailable || h.Healthy || len(h.Problems) != 1 ||
			h.Problems[0].Of != c.of || !strings.Contains(h.Problems[0].Text, c.want) {
			t.Errorf("%s: %d %+v, want %q", c.about, resp.StatusCode, h, c.want)
		}
	}
}

// TestLoopThatHangs: who asks is told so, and what else is known.
func TestLoopThatHangs(t *testing.T) {
	b := newBench(t)
	b.within = 100 * time.Millisecond
	b.sensor.set(func(f *fake) { f.hangs = true })
	var s Status
	if err := b.reader().Get(t.Context(), "/v1/status", nil, &s); err != nil {
		t.Fatal(err)
	}
	if s.Health.Healthy || len(s.Health.Problems) != 1 || !strings.Contains(s.Health.Problems[0].Text, "does not answer within 100ms") ||
		len(s.Outputs) != 1 || len(s.Watches) != 0 {
		t.Errorf("%+v", s)
	}
}

// TestManyWhoAsk: however many ask, the loop is asked once in a while.
func TestManyWhoAsk(t *testing.T) {
	b := newBench(t)
	b.last = lookAt(b.gen, b.within)
	b.last.until = time.Now().Add(time.Hour)
	before := b.sensor.asked
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			var s Status
			if err := b.reader().Get(t.Context(), "/v1/status", nil, &s); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := b.sensor.asked - before; n != 0 {
		t.Errorf("asked the loop %d times while what was seen holds", n)
	}
}

// TestHostileClients hold all connections of the reading socket, slow or silent,
// or send too much: the other listener answers, and so does the socket once the
// deadlines have passed or they have gone.
func TestHostileClients(t *testing.T) {
	b := newBench(t)
	path := filepath.Join(b.dir, "read.sock")
	var held []net.Conn
	for i := range 2 * maxConnections {
		c, err := net.Dial("unix", path)
		if err != nil {
			break // the backlog of the socket is full
		}
		held = append(held, c)
		if i%2 == 0 {
			fmt.Fprintf(c, "GET /v1/status HTTP/1.1\r\nHost: x\r\nX-Slow: ")
		}
	}
	if resp, err := http.Get("http://" + b.local + "/healthz"); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%v, %v", resp, err)
	} else {
		resp.Body.Close()
	}
	for _, c := range held {
		c.Close()
	}
	var s Status
	if err := b.reader().Get(t.Context(), "/v1/status", nil, &s); err != nil {
		t.Errorf("after they have gone: %v", err)
	}
	for about, request := range map[string]string{
		"a header without end": "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 2*maxHeader) + "\r\n\r\n",
		"a target without end": "GET /" + strings.Repeat("a", 4*maxHeader) + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"a way that is none":   "GET /v1/../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
		"another method":       "DELETE /v1/status HTTP/1.1\r\nHost: x\r\n\r\n",
		"no HTTP":              "\x16\x03\x01\x00\x00\r\n\r\n",
	} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.WriteString(c, request) }() // the other end may close before it is all taken
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err == nil && resp.StatusCode < 300 {
			t.Errorf("%s: %s", about, resp.Status)
		}
		if resp != nil {
			resp.Body.Close()
		}
		c.Close()
	}
}

// TestClosesWithClients: the server ends while clients hold connections.
func TestClosesWithClients(t *testing.T) {
	b := newBench(t) // its end waits for the server's, and goleak for the rest
	for range 3 {
		c, err := net.Dial("unix", filepath.Join(b.dir, "read.sock"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		fmt.Fprintf(c, "GET /v1/st")
	}
}

func TestLocalByNameOfOthers(t *testing.T) {
	b := newBench(t)
	for host, want := range map[string]int{"rebound.example": 403, "192.0.2.1:80": 403, "": 403,
		"localhost:1": 200, "127.0.0.1": 200, "[::1]:9": 200, "::ffff:127.0.0.1": 200} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+b.local+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		if req.Host = host; host == "" {
			req.Host = "."
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("Host %q: %d, want %d", host, resp.StatusCode, want)
		}
	}
	resp, err := http.Get("http://" + b.local + "/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("status to anybody: %d", resp.StatusCode)
	}
}

func TestClientIsToldWhatToDo(t *testing.T) {
	dir := shortDir(t)
	var s Status
	err := NewClient(filepath.Join(dir, "none.sock"), "control.read_group").Get(t.Context(), "/v1/status", nil, &s)
	if !errors.Is(err, ErrNoDaemon) || !strings.Contains(err.Error(), "none.sock; start it with") {
		t.Errorf("no daemon: %v", err)
	}
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "left.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	err = NewClient(filepath.Join(dir, "left.sock"), "control.read_group").Get(t.Context(), "/v1/status", nil, &s)
	if !errors.Is(err, ErrNoDaemon) {
		t.Errorf("a socket that was left: %v", err)
	}
	c := NewClient(filepath.Join(dir, "left.sock"), "control.read_group")
	err = c.explain(&os.PathError{Op: "dial", Path: "x", Err: fs.ErrPermission})
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "member of the group ") ||
		!strings.Contains(err.Error(), "or set control.read_group to one of yours") {
		t.Errorf("no permission: %v", err)
	}
	b := newBench(t)
	b.Use(nil)
	var no *Refusal
	if err := b.reader().Get(t.Context(), "/v1/status", nil, &s); !errors.As(err, &no) || no.Code != 503 ||
		!strings.Contains(no.Text, "try again in a moment") {
		t.Errorf("between two configurations: %v", err)
	}
	if err := b.reader().Get(t.Context(), "/v1/nothing", nil, &s); !errors.As(err, &no) || no.Code != 404 {
		t.Errorf("what there is not: %v", err)
	}
}
