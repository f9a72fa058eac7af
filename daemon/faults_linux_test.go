//go:build integration && linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
)

// A sufferer is the real daemon over one service, in a state directory to which
// things happen.
type sufferer struct {
	t      *testing.T
	dir    string
	config string
	g      *greeter
	cmd    *exec.Cmd
	said   said
}

// said is the log of a process.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// newSufferer starts the daemon and waits for its first look. Build are further
// arguments of the compiler.
func newSufferer(t *testing.T, dir string, at int, more string, build ...string) *sufferer {
	s := &sufferer{t: t, dir: filepath.Join(dir, "state"), config: filepath.Join(t.TempDir(), "sonde.toml"),
		g: newGreeter(t, netip.AddrPortFrom(loopback(at), 2222))}
	s.g.say(ssh("9.1p1"))
	bin := filepath.Join(t.TempDir(), "sonde")
	if out, err := exec.Command("go", append(append([]string{"build"}, build...), "-o", bin, ".")...).CombinedOutput(); err != nil {
		t.Fatalf("build the daemon: %v\n%s", err, out)
	}
	// The sockets are elsewhere, as in a service: they would hold the disk.
	text := fmt.Sprintf(`[sensor]
state_dir = %q
[control]
directory = %q
[[watch]]
name = "w"
targets = ["%s"]
tcp_ports = "2222"
udp_ports = ""
discover_every = "1s"
verify_every = "1s"
best_effort = true
[confirm]
changed_visits = 2
changed_over = "200ms"
%s`, s.dir, t.TempDir(), s.g.at.Addr(), more)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command(bin, "run", "-c", s.config)
	s.cmd.Stderr = &s.said
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // a test that failed leaves it
		_ = s.cmd.Wait()
		if t.Failed() {
			t.Logf("the daemon said:\n%s", s.said.String())
		}
	})
	s.awaitEvent(`"action":"service.baseline"`)
	return s
}

// await polls: the files and the log of another process cannot be waited for.
func (s *sufferer) await(what string, done func() bool) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waited a minute for %s", what)
		}
	}
}

func (s *sufferer) awaitLog(text string) {
	s.t.Helper()
	s.await("the log "+text, func() bool { return strings.Contains(s.said.String(), text) })
}

func (s *sufferer) awaitEvent(texts ...string) {
	s.t.Helper()
	s.await("an event with "+strings.Join(texts, " and "), func() bool {
		data, _ := os.ReadFile(filepath.Join(s.dir, "events.json"))
		for line := range strings.Lines(string(data)) {
			all := true
			for _, text := range texts {
				all = all && strings.Contains(line, text)
			}
			if all {
				return true
			}
		}
		return false
	})
}

// becomes changes the service and waits until that is told.
func (s *sufferer) becomes(version string) {
	s.t.Helper()
	s.g.say(ssh(version))
	s.awaitEvent(`"action":"service.changed"`, `"version":"`+version+`"`)
}

// end stops the daemon, which must still be the one that was started, and checks
// the store, and that each version was told once, without a gap within an epoch.
func (s *sufferer) end(versions ...string) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatalf("the daemon is gone: %v", err)
	}
	if err := s.cmd.Wait(); err != nil {
		s.t.Errorf("the daemon ends with %v", err)
	}
	if _, err := inventory.Check(s.t.Context(), s.dir); err != nil {
		s.t.Error(err)
	}
	data, err := os.ReadFile(filepath.Join(s.dir, "events.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	told, last := map[string]int{}, map[int64]int64{}
	for line := range strings.Lines(string(data)) {
		var e event.Event
		if json.Unmarshal([]byte(line), &e) != nil || e.Seq == 0 {
			continue // torn and written again, or a header
		}
		if e.Seq != last[e.Epoch]+1 {
			s.t.Errorf("event %d after %d", e.Seq, last[e.Epoch])
		}
		last[e.Epoch] = e.Seq
		if e.Action == event.ServiceChanged {
			told[e.Endpoint.Version]++
		}
	}
	for _, v := range versions {
		if told[v] != 1 {
			s.t.Errorf("%s was told %d times", v, told[v])
		}
	}
}

// fill writes a file until nothing more fits.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	f.Close()
}

// TestFullDisk: visits stop before nothing more fits, that is told, and they go on
// when there is room. What changed meanwhile is told once.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a small file system")
	}
	dir := t.TempDir()
	d := &disk{t: t, mount: dir}
	d.run("mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", dir)
	t.Cleanup(func() { d.run("umount", dir) })
	s := newSufferer(t, dir, 1, "[state]\nmin_free = \"4MiB\"\n[output.json]\nmax_size = \"1MiB\"\nkeep = 1\n")
	s.awaitLog("the files of the sensor may grow to more than is free")
	s.becomes("9.2p1")
	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	s.awaitLog("no visit and no sweep begins")
	s.g.say(ssh("9.3p1"))
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	s.awaitEvent(`"action":"sensor.degraded"`, "below state.min_free")
	s.awaitEvent(`"action":"sensor.recovered"`, "visits and sweeps go on")
	s.awaitEvent(`"action":"service.changed"`, `"version":"9.3p1"`)
	s.end("9.2p1", "9.3p1")
}

// TestDeadFileSystem: one that the kernel shut down, and that is mounted again.
func TestDeadFileSystem(t *testing.T) {
	d := newDisk(t)
	s := newSufferer(t, d.mount, 2, "")
	s.becomes("9.2p1")
	d.shutDown()
	s.g.say(ssh("9.3p1"))
	s.awaitLog("the store does not open, trying again")
	d.replug()
	s.awaitEvent(`"action":"sensor.degraded"`, "the store was opened again")
	s.awaitEvent(`"action":"service.changed"`, `"version":"9.3p1"`)
	s.end("9.2p1", "9.3p1")
}

// TestReadOnlyFileSystem: the kernel makes it so after an error; somebody mounts it
// anew.
func TestReadOnlyFileSystem(t *testing.T) {
	d := newDisk(t)
	s := newSufferer(t, d.mount, 3, "")
	s.becomes("9.2p1")
	d.fail()
	s.g.say(ssh("9.3p1"))
	s.awaitLog("the store does not open, trying again")
	s.awaitLog("read-only file system")
	d.replug()
	s.awaitEvent(`"action":"service.changed"`, `"version":"9.3p1"`)
	s.end("9.2p1", "9.3p1")
}

// TestStoreRemovedUnderTheDaemon: it is written anew from what is still open.
func TestStoreRemovedUnderTheDaemon(t *testing.T) {
	s := newSufferer(t, t.TempDir(), 4, "")
	s.becomes("9.2p1")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(s.dir, inventory.FileName+suffix)); err != nil {
			t.Fatal(err)
		}
	}
	s.awaitEvent(`"action":"sensor.degraded"`, "removed while in use")
	s.becomes("9.3p1")
	s.end("9.2p1", "9.3p1")
}

// TestOlderStoreUnderTheDaemon: a copy of yesterday in its place begins a new
// epoch, so that no event is taken for one that was told.
func TestOlderStoreUnderTheDaemon(t *testing.T) {
	s := newSufferer(t, t.TempDir(), 5, "")
	old := filepath.Join(t.TempDir(), "old.db")
	r, err := inventory.OpenReadOnly(t.Context(), s.dir)
	if err == nil {
		err = r.Backup(t.Context(), old)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	s.becomes("9.2p1")
	path := filepath.Join(s.dir, inventory.FileName)
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(old)
	if err == nil {
		err = os.WriteFile(path+".new", text, 0o640)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.awaitEvent(`"seq":1,`, `"action":"sensor.degraded"`, "the store is older than the events file")
	s.becomes("9.3p1")
	s.end("9.3p1")
}
