//go:build integration && linux

package onwire

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sonde/capture/capturetest"
	"sonde/daemon/internal/event"
)

func TestMain(m *testing.M) {
	code := capturetest.Main(m, nil)
	if built.path != "" {
		_ = os.RemoveAll(filepath.Dir(built.path))
	}
	os.Exit(code)
}

// patience is how long what must come is waited for, on a busy machine too.
const patience = 60 * time.Second

var built struct {
	once sync.Once
	path string
	err  error
}

// program builds sonde, once.
func program(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		dir, err := os.MkdirTemp("", "onwire")
		built.path, built.err = filepath.Join(dir, "sonde"), err
		if err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", built.path, "sonde/daemon").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// A daemon is a running sonde.
type daemon struct {
	dir string
	cmd *exec.Cmd
	log *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start runs sonde in a namespace until the test ends. Before is what comes
// before the program on the command line.
func start(t *testing.T, ns *capturetest.Namespace, config string, before ...string) *daemon {
	t.Helper()
	d := prepare(t, t.TempDir(), config)
	d.begin(t, ns, before...)
	return d
}

// prepare writes a configuration into a directory.
func prepare(t *testing.T, dir, config string) *daemon {
	t.Helper()
	d := &daemon{dir: dir, log: &lockedBuffer{}}
	d.configure(t, config)
	return d
}

// begin starts what was prepared.
func (d *daemon) begin(t *testing.T, ns *capturetest.Namespace, before ...string) {
	t.Helper()
	args := append(before, program(t), "run", "-c", d.file())
	d.cmd = ns.Command(context.Background(), args[0], args[1:]...)
	d.cmd.Stderr = d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.signal(t, syscall.SIGTERM)
		if err := d.cmd.Wait(); err != nil {
			t.Errorf("sonde: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", d.log)
		}
	})
}

func (d *daemon) file() string { return filepath.Join(d.dir, "sonde.toml") }

// configure writes its configuration.
func (d *daemon) configure(t *testing.T, config string) {
	t.Helper()
	text := fmt.Sprintf("[sensor]\nstate_dir = %q\n", d.dir) + config
	if err := os.WriteFile(d.file(), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// signal sends a signal. Ip and setpriv become what they start.
func (d *daemon) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		t.Error(err)
	}
}

// reload has it read its configuration again.
func (d *daemon) reload(t *testing.T) {
	t.Helper()
	before := strings.Count(d.log.String(), "configuration reloaded")
	d.signal(t, syscall.SIGHUP)
	d.until(t, "reload", func() bool { return strings.Count(d.log.String(), "configuration reloaded") > before })
}

// events reads what was told so far.
func (d *daemon) events(t *testing.T) (list []event.Event) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(d.dir, "events.json"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var e event.Event
		if !bytes.HasSuffix(line, []byte("\n")) || json.Unmarshal(line, &e) != nil {
			continue // a line that is being written
		}
		list = append(list, e)
	}
	return list
}

// await waits for an event, and gives it.
func (d *daemon) await(t *testing.T, what string, is func(*event.Event) bool) event.Event {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		for _, e := range d.events(t) {
			if is(&e) {
				return e
			}
		}
		if time.Now().After(end) {
			t.Fatalf("no %s in %v", what, patience)
		}
	}
}

// until waits until something is true.
func (d *daemon) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s in %v", what, patience)
		}
	}
}

// awaitLog waits for a line of the log with all of these in it.
func (d *daemon) awaitLog(t *testing.T, parts ...string) string {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
	lines:
		for line := range strings.Lines(d.log.String()) {
			for _, p := range parts {
				if !strings.Contains(line, p) {
					continue lines
				}
			}
			return line
		}
		if time.Now().After(end) {
			t.Fatalf("no line with %q in the log in %v", parts, patience)
		}
	}
}

// serve greets whoever connects to an address of a namespace, until it is stopped
// or the test ends.
func serve(t *testing.T, ns *capturetest.Namespace, at, greeting string) (stop func()) {
	t.Helper()
	var l net.Listener
	ns.Do(t, func() (err error) {
		l, err = net.Listen("tcp", at)
		return err
	})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				if _, err := c.Write([]byte(greeting)); err != nil {
					return
				}
				_, _ = c.Read(make([]byte, 1024))
			})
		}
	})
	stop = func() {
		_ = l.Close()
		all.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// connect is one client of a server.
func connect(t *testing.T, ns *capturetest.Namespace, to string) {
	t.Helper()
	ns.Do(t, func() error {
		c, err := net.DialTimeout("tcp", to, 5*time.Second)
		if err != nil {
			return err
		}
		_, err = c.Read(make([]byte, 16))
		_ = c.Close()
		return err
	})
}

func endpointOf(e *event.Event) netip.AddrPort {
	if e.Endpoint == nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(e.Endpoint.Addr, e.Endpoint.Port)
}
