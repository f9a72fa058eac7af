//go:build linux

package systemd

import (
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// listening opens a Unix socket and gives it as systemd would: as a file.
func listening(t *testing.T, name string) *os.File {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	u := l.(*net.UnixListener)
	u.SetUnlinkOnClose(false)
	t.Cleanup(func() { u.Close() })
	f, err := u.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestListeners starts this test again as a service that is given two sockets,
// and talks to it over both.
func TestListeners(t *testing.T) {
	if os.Getenv("LISTEN_FDS") != "" {
		serveTheNames(t)
		return
	}
	files := []*os.File{listening(t, "read"), listening(t, "act")}
	// The shell writes the number of the process that it becomes.
	c := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" -test.run '^TestListeners$'`, os.Args[0])
	c.Env = append(os.Environ(), "LISTEN_FDS=2", "LISTEN_FDNAMES=control.read:control.act")
	c.ExtraFiles = files
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"control.read", "control.act"} {
		l, err := net.FileListener(files[i])
		if err != nil {
			t.Fatal(err)
		}
		path := l.Addr().String()
		l.Close()
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		n, err := conn.Read(buf)
		if got := string(buf[:n]); got != want || err != nil {
			t.Errorf("socket %d says %q, %v; want %q", i, got, err, want)
		}
		conn.Close()
		if _, err := os.Stat(path); err != nil {
			t.Errorf("the socket's file: %v", err)
		}
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

// serveTheNames is the service: each socket says its own name to one caller.
func serveTheNames(t *testing.T) {
	ls, err := Listeners()
	if err != nil {
		t.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(ls))
	if len(names) != 2 {
		t.Fatalf("sockets %q, want two", names)
	}
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "LISTEN_") {
			t.Errorf("%s is left for children", v)
		}
	}
	for _, name := range []string{"control.read", "control.act"} { // as they are called
		l := ls[name]
		if l == nil {
			t.Fatalf("sockets %q, want %s", names, name)
		}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(name)); err != nil {
			t.Error(err)
		}
		conn.Close()
		l.Close()
	}
}

func TestNoListeners(t *testing.T) {
	t.Setenv("LISTEN_FDS", "1")
	t.Setenv("LISTEN_PID", "1") // another process is meant
	if got, err := Listeners(); len(got) != 0 || err != nil {
		t.Errorf("%v, %v; want none", got, err)
	}
}

func TestBadListeners(t *testing.T) {
	plain, err := os.Create(filepath.Join(t.TempDir(), "plain"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := listeners([]*os.File{plain}); err == nil || got != nil {
		t.Errorf("a plain file: %v, %v", got, err)
	}
	a, b := listening(t, "a"), listening(t, "b")
	name := func(f *os.File) *os.File {
		n, err := syscall.Dup(int(f.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		return os.NewFile(uintptr(n), "same")
	}
	_, err = listeners([]*os.File{name(a), name(b)})
	if err == nil || !strings.Contains(err.Error(), `"same" of the service manager: the name comes twice`) {
		t.Errorf("one name for two: %v", err)
	}
}
