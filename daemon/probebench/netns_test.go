//go:build integration || lab || bench

package probebench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var namespaces atomic.Int32

// needRoot skips a test that cannot make network namespaces.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("skipped: network namespaces need root (CAP_SYS_ADMIN and CAP_NET_ADMIN)")
	}
}

// newNamespace makes a network namespace with nothing but loopback, which goes
// away with the test.
func newNamespace(t testing.TB) string {
	t.Helper()
	needRoot(t)
	ns := fmt.Sprintf("pb%d-%d", os.Getpid(), namespaces.Add(1))
	run(t, "ip", "netns", "add", ns)
	t.Cleanup(func() { run(t, "ip", "netns", "del", ns) })
	run(t, "ip", "-n", ns, "link", "set", "lo", "up")
	return ns
}

// run runs a command that must succeed and gives its output.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// moduleRoot is the directory of go.mod.
func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatalf("the module root is not two above this package: %v", err)
	}
	return dir
}

// shared gives the path of a file that may lie beside the module.
func shared(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("SONDE_SHARED")
	if dir == "" {
		dir = filepath.Join(moduleRoot(t), "..", "shared")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("skipped: %s is absent (SONDE_SHARED names its directory)", name)
	}
	return path
}

// program gives the path of the built sonde.
func program(t testing.TB) string {
	t.Helper()
	path := os.Getenv("SONDE_BIN")
	if path == "" {
		path = filepath.Join(moduleRoot(t), "bin", "sonde")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v; make build makes it", err)
	}
	return path
}

// inNamespace runs f on a thread in a network namespace; sockets that f opens
// itself belong there.
func inNamespace(ns string, f func() (time.Duration, error)) (took time.Duration, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends in the other namespace
		var fd int
		if fd, err = unix.Open("/run/netns/"+ns, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return
		}
		defer unix.Close(fd)
		if err = unix.Setns(fd, unix.CLONE_NEWNET); err == nil {
			took, err = f()
		}
	}()
	<-done
	return took, err
}
