//go:build lab && linux

package simulation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"sonde/daemon/internal/event"
)

// A process is the real daemon, which is started again and again.
type process struct {
	t   testing.TB
	g   *ground
	bin string
	dir string // of its state
	log *os.File

	mu    sync.Mutex // guards what follows, and is held from one life to the next
	cmd   *exec.Cmd
	lives int
	kills int
}

// newProcess builds the daemon.
func newProcess(t testing.TB, g *ground) *process {
	d := &process{t: t, g: g, dir: t.TempDir(), bin: filepath.Join(t.TempDir(), "sonde")}
	if out, err := exec.Command("go", "build", "-o", d.bin, "sonde/daemon").CombinedOutput(); err != nil {
		t.Fatalf("build the daemon: %v\n%s", err, out)
	}
	var err error
	if d.log, err = os.Create(filepath.Join(t.TempDir(), "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.end(syscall.SIGTERM)
		if t.Failed() {
			d.keep()
		}
		_ = d.log.Close()
	})
	return d
}

// keep copies the event file and the log to where SONDE_CAMPAIGN_KEEP says.
func (d *process) keep() {
	to := os.Getenv("SONDE_CAMPAIGN_KEEP")
	if to == "" {
		return
	}
	for name, from := range map[string]string{"events.json": d.events(), "log": d.log.Name()} {
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), data, 0o600)
		}
		if err != nil {
			d.t.Log(err)
		}
	}
}

func (d *process) file() string   { return filepath.Join(d.dir, "sonde.toml") }
func (d *process) events() string { return filepath.Join(d.dir, "events.json") }

func (d *process) configure(text string) {
	text = fmt.Sprintf("[sensor]\nstate_dir = %q\nlog_level = 'warn'\n", d.dir) + text
	if err := os.WriteFile(d.file(), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// begin starts a life.
func (d *process) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.start()
}

func (d *process) start() {
	d.cmd = exec.Command("ip", "netns", "exec", d.g.sensor.Name, d.bin, "run", "-c", d.file())
	d.cmd.Stderr = d.log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.lives++
}

// end ends a life by a signal, and waits. "ip netns exec" becomes the daemon.
func (d *process) end(sig os.Signal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.halt(sig)
}

func (d *process) halt(sig os.Signal) {
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Signal(sig)
	err := d.cmd.Wait()
	status := d.cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case sig == syscall.SIGKILL:
		d.kills++
	case err != nil && !status.Signaled(): // else it was so young that it did not listen yet
		d.t.Errorf("sonde: %v", err)
	}
	d.cmd = nil
}

// again ends a life and begins the next, within a few seconds.
func (d *process) again(sig os.Signal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.halt(sig)
	time.Sleep(time.Duration(rand.IntN(3000)) * time.Millisecond)
	d.start()
}

// order runs one of the program's other commands, which must succeed; the daemon
// lives meanwhile.
func (d *process) order(args ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []byte
	var err error
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if out, err = exec.Command(d.bin, append(args, "-c", d.file())...).CombinedOutput(); err == nil {
			return
		}
	}
	d.t.Errorf("sonde %v: %v: %s", args, err, out)
}

// tail reads the events that were written since offset, and gives the next one.
func (d *process) tail(offset int64) (list []event.Event, next int64) {
	f, err := os.Open(d.events())
	if err != nil {
		return nil, offset // not there yet
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		d.t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		d.t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // it is being written
		}
		offset += int64(len(line))
		var e event.Event
		if json.Unmarshal(line, &e) == nil && e.Seq > 0 { // else the file's header, or a line that a kill tore
			list = append(list, e)
		}
	}
	return list, offset
}
