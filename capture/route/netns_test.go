//go:build linux && integration

package route

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var namespaces atomic.Int32

// A world is a network namespace of this test alone.
type world struct {
	t    testing.TB
	name string
}

// newWorld makes a namespace with nothing but loopback, which goes with the
// test.
func newWorld(t testing.TB) *world {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("skipped: network namespaces need root (CAP_SYS_ADMIN and CAP_NET_ADMIN)")
	}
	w := &world{t, fmt.Sprintf("rt%d-%d", os.Getpid(), namespaces.Add(1))}
	w.run("ip", "netns", "add", w.name)
	t.Cleanup(func() { w.run("ip", "netns", "del", w.name) })
	w.ip("link set lo up")
	return w
}

// ip runs one ip command inside.
func (w *world) ip(command string) {
	w.t.Helper()
	w.run("ip", append([]string{"-n", w.name}, strings.Fields(command)...)...)
}

func (w *world) run(name string, args ...string) {
	w.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		w.t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// inside runs f on a thread of the namespace.
func (w *world) inside(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		fd, err := unix.Open("/run/netns/"+w.name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(fd, unix.CLONE_NEWNET)
			unix.Close(fd)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// open gives the table of the namespace.
func (w *world) open() *Table {
	w.t.Helper()
	var table *Table
	err := w.inside(func() (err error) {
		table, err = Open(nil)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := table.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return table
}

// eventually polls until ok, for what the kernel tells of a little later.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		if ok() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
