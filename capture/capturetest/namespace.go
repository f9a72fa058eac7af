//go:build linux

package capturetest

import (
	"context"
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

// made numbers the namespaces of this process.
var made atomic.Int32

// A Namespace is a network namespace that ends with its test.
type Namespace struct{ Name string }

// NeedRoot skips a test that cannot make network namespaces.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("skipped: network namespaces need root (CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_NET_RAW)")
	}
}

// NewNamespace makes a namespace with nothing but loopback. IPv6 addresses that
// are added later work at once, as duplicates are not looked for.
func NewNamespace(t testing.TB) *Namespace {
	t.Helper()
	NeedRoot(t)
	n := &Namespace{fmt.Sprintf("ct%d-%d", os.Getpid(), made.Add(1))}
	run(t, "ip", "netns", "add", n.Name)
	t.Cleanup(func() { run(t, "ip", "netns", "del", n.Name) })
	n.IP(t, "link", "set", "lo", "up")
	for _, kind := range []string{"all", "default"} {
		n.Sysctl(t, "net/ipv6/conf/"+kind+"/accept_dad", "0")
		n.Sysctl(t, "net/ipv6/conf/"+kind+"/accept_ra", "0")
		n.Sysctl(t, "net/ipv6/conf/"+kind+"/router_solicitations", "0")
	}
	return n
}

// IP runs ip(8) on the namespace and gives what it printed.
func (n *Namespace) IP(t testing.TB, args ...string) string {
	t.Helper()
	return run(t, "ip", append([]string{"-n", n.Name}, args...)...)
}

// NFT loads a ruleset into the namespace.
func (n *Namespace) NFT(t testing.TB, ruleset string) {
	t.Helper()
	cmd := n.Command(t.Context(), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(ruleset)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft in %s: %v: %s\n%s", n.Name, err, out, ruleset)
	}
}

// Sysctl sets a value below /proc/sys, as the namespace has it.
func (n *Namespace) Sysctl(t testing.TB, key, value string) {
	t.Helper()
	n.Do(t, func() error {
		return os.WriteFile(filepath.Join("/proc/sys", key), []byte(value), 0)
	})
}

// Command is a command that runs in the namespace, and is killed when ctx ends.
func (n *Namespace) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", n.Name, name}, args...)...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// Do runs f on a thread in the namespace, and fails the test with its error.
func (n *Namespace) Do(t testing.TB, f func() error) {
	t.Helper()
	if err := n.Enter(f); err != nil {
		t.Fatalf("in namespace %s: %v", n.Name, err)
	}
}

// Enter runs f on a thread in the namespace. Sockets that f itself opens belong
// there for good; what goroutines of f open does not, as they have other
// threads.
func (n *Namespace) Enter(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends in the other namespace
		fd, err := unix.Open("/run/netns/"+n.Name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			done <- fmt.Errorf("open namespace %s: %w", n.Name, err)
			return
		}
		defer func() { _ = unix.Close(fd) }()
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter namespace %s: %w", n.Name, err)
			return
		}
		done <- f()
	}()
	return <-done
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
