//go:build linux

package capturetest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// A Role is what a test binary does as a process of its own, in a namespace:
// what has its CPU time measured, or starts threads that must all be there. It
// runs until ctx ends, which is when the test says Stop or is gone. tell sends
// the test one value.
type Role func(ctx context.Context, spec json.RawMessage, tell func(any) error) error

// roleVariable names the role in the environment, specVariable its spec.
const (
	roleVariable = "SONDE_CAPTURETEST_ROLE"
	specVariable = "SONDE_CAPTURETEST_SPEC"
)

// grace is how long a role may take to end when it is told to.
const grace = 20 * time.Second

// Main runs the role that this process was started for, one of this package's
// or of roles, and else the tests. Its result is for os.Exit.
func Main(m *testing.M, roles map[string]Role) int {
	name := os.Getenv(roleVariable)
	if name == "" {
		return m.Run()
	}
	role, ok := roles[name]
	if !ok {
		role, ok = builtin[name]
	}
	if !ok {
		fmt.Fprintf(os.Stderr, "no role %q\n", name)
		return 2
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test closes it or dies
		cancel()
		time.Sleep(grace)
		fmt.Fprintf(os.Stderr, "role %q does not end\n", name)
		os.Exit(3)
	}()
	out := json.NewEncoder(os.Stdout)
	if err := role(ctx, json.RawMessage(os.Getenv(specVariable)), func(v any) error { return out.Encode(v) }); err != nil {
		fmt.Fprintf(os.Stderr, "role %s: %v\n", name, err)
		return 1
	}
	return 0
}

// A Process is a role that runs.
type Process struct {
	Role  string
	cmd   *exec.Cmd
	stdin io.Closer
	lines chan string // closed at the end of the process's output
	ended bool
}

// Start runs a role in the namespace. It ends with the test at the latest.
func (n *Namespace) Start(t testing.TB, role string, spec any) *Process {
	t.Helper()
	js, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Not the test's own context, which ends before the clean-up that stops it.
	cmd := n.Command(context.Background(), self)
	cmd.Env = append(os.Environ(), roleVariable+"="+role, specVariable+"="+string(js))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &Process{Role: role, cmd: cmd, stdin: in, lines: make(chan string, 1)}
	go func() {
		defer close(p.lines)
		s := bufio.NewScanner(out)
		s.Buffer(nil, 1<<26)
		for s.Scan() {
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(func() { p.Stop(t) })
	return p
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Next waits for the next value that the role tells. False: it ended before.
func (p *Process) Next(t testing.TB, v any, patience time.Duration) bool {
	t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			return false
		}
		if err := json.Unmarshal([]byte(line), v); err != nil {
			t.Fatalf("%s told %q: %v", p.Role, line, err)
		}
		return true
	case <-time.After(patience):
		t.Fatalf("%s told nothing for %v", p.Role, patience)
	}
	return false
}

// Ready waits for a role to say true.
func (p *Process) Ready(t testing.TB) {
	t.Helper()
	var ok bool
	if !p.Next(t, &ok, grace) || !ok {
		t.Fatalf("%s did not begin", p.Role)
	}
}

// Stop asks the role to end, and waits. It fails the test if the role failed.
// The last value that it told, if one is left, goes to last (the others are
// dropped).
func (p *Process) Stop(t testing.TB, last ...any) *syscall.Rusage {
	t.Helper()
	if p.ended {
		return nil
	}
	p.ended = true
	p.stdin.Close()
	for line := range p.lines {
		for _, v := range last {
			if err := json.Unmarshal([]byte(line), v); err != nil {
				t.Errorf("%s told %q: %v", p.Role, line, err)
			}
		}
	}
	err := p.cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) || err != nil {
		t.Errorf("%s: %v", p.Role, err)
	}
	usage, _ := p.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return usage
}

// CPU is the CPU time that this process has used.
func CPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
