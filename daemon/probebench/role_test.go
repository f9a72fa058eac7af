//go:build integration || lab || bench

package probebench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// A role is what a process does that a test starts of this same binary, so
// that it lives in another network namespace, or is weighed without the test
// around it. It calls ready once when it does what it is there for, and ends
// on its own or when ctx does.
type role func(ctx context.Context, spec []byte, ready func(any)) (result any, err error)

// roleEnv names the role in the environment of such a process.
const roleEnv = "PROBEBENCH_ROLE"

func rolesByName() map[string]role {
	return map[string]role{
		"visit": visitRole, "hold": holdRole, "serve": serveRole, "count": countRole,
		"cut": cutRole, "burn": burnRole, "link": linkRole,
		"scanall": scanAllRole, "sense": senseRole,
	}
}

func TestMain(m *testing.M) {
	if name := os.Getenv(roleEnv); name != "" {
		if err := play(rolesByName()[name]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	m.Run()
	leaveLab()
}

// play reads one line of JSON, what to do, and writes two: once when the role
// is ready, once with the result. The end of the input tells it to end.
func play(r role) error {
	in := bufio.NewReader(os.Stdin)
	spec, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	out := json.NewEncoder(os.Stdout)
	result, err := r(ctx, spec, func(v any) { _ = out.Encode(v) }) // a test that is gone reads nothing
	if err != nil {
		return err
	}
	return out.Encode(result)
}

// A process plays a role.
type process struct {
	t      testing.TB
	name   string
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr bytes.Buffer
}

// start starts a process, in a network namespace unless ns is "", and waits
// until it is ready. What it says then is stored in ready.
func start(t testing.TB, ns, name string, spec, ready any) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, name: name, cmd: exec.Command(self)}
	if ns != "" {
		p.cmd = exec.Command("ip", "netns", "exec", ns, self)
	}
	p.cmd.Env = append(os.Environ(), roleEnv+"="+name)
	p.cmd.Stderr = &p.stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // nothing if it has ended
		_ = p.cmd.Wait()
	})
	if err := json.NewEncoder(p.in).Encode(spec); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	p.read(ready)
	return p
}

// read reads one line.
func (p *process) read(v any) {
	p.t.Helper()
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		_ = p.cmd.Wait()
		p.t.Fatalf("process %s ended: %s", p.name, p.stderr.String())
	}
	if v == nil {
		return
	}
	if err := json.Unmarshal(line, v); err != nil {
		p.t.Fatalf("process %s says %.200q: %v", p.name, line, err)
	}
}

// wait gives the result when the role ends on its own.
func (p *process) wait(result any) {
	p.t.Helper()
	p.read(result)
	p.in.Close()
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatalf("process %s: %v: %s", p.name, err, p.stderr.String())
	}
}

// stop tells it to end and gives the result.
func (p *process) stop(result any) {
	p.t.Helper()
	p.in.Close()
	p.wait(result)
}

// number reads a number from the environment.
func number(name string, byDefault int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return byDefault
}
