//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sonde/daemon/internal/inventory"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sonde": main, "ask": askMain, "besiege": besiegeMain, "handed": handedMain})
}

// TestScript runs the program as people do: testdata/script has one file per
// behaviour. The scripts speak to loopback addresses alone, and write below
// their own directories. With SONDE_UPDATE_SCRIPTS=1 what cmp finds different
// is written into the scripts.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("SONDE_UPDATE_SCRIPTS") != "",
		Setup: func(e *testscript.Env) error {
			// A user's own state, and one who is told nothing by a terminal or
			// a service manager.
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			for _, name := range []string{"STATE_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "XDG_STATE_HOME"} {
				e.Setenv(name, "")
			}
			e.Values[serversKey{}] = map[string]*server{}
			return nil
		},
		Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"answers":  cmdAnswers,
			"await":    cmdAwait,
			"code":     cmdCode,
			"damage":   cmdDamage,
			"fails":    cmdFails,
			"fields":   cmdFields,
			"fill":     cmdFill,
			"nobody":   cmdNobody,
			"receives": cmdReceives,
			"signal":   cmdSignal,
			"valid":    cmdValid,
		},
	})
}

// condition knows what not every machine has: "loopbacks", that all of
// 127.0.0.0/8 are its addresses, as only Linux has it, "ipv6", that ::1 is, and
// "root", that the tests may give files away.
func condition(name string) (bool, error) {
	switch name {
	case "loopbacks":
		return runtime.GOOS == "linux", nil
	case "root":
		return os.Geteuid() == 0, nil
	case "ipv6":
		l, err := net.Listen("tcp", "[::1]:0")
		if err != nil {
			return false, nil //nolint:nilerr // that is what was asked
		}
		return true, l.Close()
	}
	return false, fmt.Errorf("condition %q is not known", name)
}

// patience is how long a script waits for what must come, however busy the
// machine is. What comes in time is not waited for.
const patience = 20 * time.Second

// eventually asks until it is told yes, and fails after patience.
func eventually(ts *testscript.TestScript, what string, yes func() bool) {
	for end := time.Now().Add(patience); !yes(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// cmdCode runs the program and demands an exit code:
//
//	code 2 sonde scan
func cmdCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := err.(*exec.ExitError) //nolint:errorlint // Exec returns it as it is
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// cmdFails runs the program and demands an exit code, nothing on standard
// output, and one line on standard error that matches the expression:
//
//	fails 2 'no command "nope"' sonde nope
func cmdFails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: fails N PATTERN PROGRAM [ARG...]")
	}
	cmdCode(ts, neg, slices.Delete(slices.Clone(args), 1, 2))
	line, whole := strings.CutSuffix(ts.ReadFile("stderr"), "\n")
	switch {
	case ts.ReadFile("stdout") != "":
		ts.Fatalf("something on standard output")
	case !whole || strings.Contains(line, "\n"):
		ts.Fatalf("standard error has not one line")
	case !regexp.MustCompile(args[1]).MatchString(line):
		ts.Fatalf("standard error does not match %q", args[1])
	}
}

// cmdFill replaces ${NAME} in files by the script's variables.
func cmdFill(ts *testscript.TestScript, neg bool, files []string) {
	if neg || len(files) == 0 {
		ts.Fatalf("usage: fill FILE...")
	}
	for _, name := range files {
		text := variable.ReplaceAllStringFunc(ts.ReadFile(name), func(s string) string {
			value := ts.Getenv(s[2 : len(s)-1])
			if value == "" {
				ts.Fatalf("%s: %s is not set", name, s)
			}
			return value
		})
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o644))
	}
}

var variable = regexp.MustCompile(`\$\{\w+\}`)

// cmdAwait waits until a file has a line that matches all expressions, and
// with -count=N that many of them:
//
//	await events.json '"service.new"' '"port":22'
func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	count := 1
	if len(args) > 0 && strings.HasPrefix(args[0], "-count=") {
		var err error
		count, err = strconv.Atoi(strings.TrimPrefix(args[0], "-count="))
		ts.Check(err)
		args = args[1:]
	}
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await [-count=N] FILE PATTERN...")
	}
	var patterns []*regexp.Regexp
	for _, p := range args[1:] {
		patterns = append(patterns, regexp.MustCompile(p))
	}
	found := false
	var text []byte
	defer func() {
		if !found {
			ts.Logf("[%s]\n%s", args[0], text)
		}
	}()
	eventually(ts, fmt.Sprintf("%d lines with %q in %s", count, args[1:], args[0]), func() bool {
		var err error
		if text, err = os.ReadFile(ts.MkAbs(args[0])); err != nil && !os.IsNotExist(err) {
			ts.Fatalf("%v", err)
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			if !slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool { return !p.MatchString(line) }) {
				n++
			}
		}
		found = n >= count
		return found
	})
}

// cmdSignal sends a signal to the background program that was started last.
// With -within=TIME it must then end in that time.
func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	var within time.Duration
	if len(args) == 2 && strings.HasPrefix(args[0], "-within=") {
		var err error
		within, err = time.ParseDuration(strings.TrimPrefix(args[0], "-within="))
		ts.Check(err)
		args = args[1:]
	}
	signals := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "INT": syscall.SIGINT,
		"KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1}
	running := ts.BackgroundCmds()
	if neg || len(args) != 1 || signals[args[0]] == 0 || len(running) == 0 {
		ts.Fatalf("usage: signal [-within=TIME] HUP|INT|KILL|TERM|USR1, with a program in the background")
	}
	p := running[len(running)-1].Process
	begun := time.Now()
	ts.Check(p.Signal(signals[args[0]]))
	if within == 0 {
		return
	}
	eventually(ts, "the end of the program", func() bool { return p.Signal(syscall.Signal(0)) != nil })
	if took := time.Since(begun); took > within {
		ts.Fatalf("ended %v after %s, must within %v", took, args[0], within)
	}
}

// cmdFields demands that each line of the last standard output is a JSON
// object, and that their fields are exactly these:
//
//	fields addr port transport
func cmdFields(ts *testscript.TestScript, neg bool, want []string) {
	if neg {
		ts.Fatalf("usage: fields NAME...")
	}
	got := map[string]bool{}
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		var object map[string]any
		ts.Check(json.Unmarshal([]byte(line), &object))
		for name := range object {
			got[name] = true
		}
	}
	slices.Sort(want)
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		ts.Fatalf("fields %q,\nwant   %q", names, want)
	}
}

// cmdDamage makes a state directory that no sonde of this version can open.
func cmdDamage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: damage text|newer DIR")
	}
	path := filepath.Join(ts.MkAbs(args[1]), inventory.FileName)
	data, err := os.ReadFile(path)
	ts.Check(err)
	switch args[0] {
	case "text":
		data = []byte(strings.Repeat("not a database\n", 1000))
	case "newer":
		// The user version stands in bytes 60 to 63 of an SQLite file.
		copy(data[60:], []byte{0, 0, 0, 99})
	default:
		ts.Fatalf("damage %q is not known", args[0])
	}
	ts.Check(os.WriteFile(path, data, 0o640))
}

// cmdNobody runs the program as a user without rights on what root owns, who
// may look at the script's directory; where the tests do not run as root, the
// user is right as it is. It demands an exit code like code.
func cmdNobody(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || args[1] != "sonde" {
		ts.Fatalf("usage: nobody CODE sonde [ARG...]")
	}
	if os.Geteuid() != 0 {
		cmdCode(ts, neg, args)
		return
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	program, err := exec.LookPath(args[1])
	ts.Check(err)
	reachable(ts, program)
	cmd := exec.Command(program, args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = []string{"HOME=/nonexistent", "TMPDIR=" + os.TempDir()}
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	const nobody = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if err := cmd.Run(); cmd.ProcessState == nil {
		ts.Fatalf("%v", err)
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// reachable lets everyone pass through the temporary directories above the
// program and the script's files.
func reachable(ts *testscript.TestScript, program string) {
	ts.Check(os.Chmod(program, 0o755))
	for _, start := range []string{program, ts.MkAbs(".")} {
		top := filepath.Clean(os.TempDir())
		for dir := filepath.Dir(start); dir != top && dir != "/"; dir = filepath.Dir(dir) {
			st, err := os.Stat(dir)
			ts.Check(err)
			if mode := st.Mode().Perm(); mode&0o011 != 0o011 {
				ts.Check(os.Chmod(dir, mode|0o011&^fs.ModeType))
			}
		}
	}
}
