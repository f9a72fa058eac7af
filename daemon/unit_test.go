//go:build linux

package main

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sonde/config"
)

// unitFile is the unit that the packages install.
const unitFile = "../systemd/sonde.service"

// readUnit gives the values of each key of the unit, in their order.
func readUnit(t *testing.T) map[string][]string {
	t.Helper()
	f, err := os.Open(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unit := map[string][]string{}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if key, value, ok := strings.Cut(sc.Text(), "="); ok && !strings.HasPrefix(key, "#") {
			unit[key] = append(unit[key], value)
		}
	}
	return unit
}

// TestUnitCommands holds the command lines of the unit against the commands that
// there are, and its paths against those that the program looks at by itself.
func TestUnitCommands(t *testing.T) {
	unit := readUnit(t)
	var ours int
	for _, line := range slices.Concat(unit["ExecStart"], unit["ExecReload"]) {
		_, ourLine, isOurs := strings.Cut(line, "/usr/bin/sonde ")
		if !isOurs {
			continue
		}
		ours++
		c, rest, err := newRoot().Find(strings.Fields(ourLine))
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if err := c.ParseFlags(rest); err != nil || len(c.Flags().Args()) > 0 {
			t.Errorf("%s: %v, arguments %q", line, err, c.Flags().Args())
		}
		if got := c.Flag("config").Value.String(); got != systemConfig {
			t.Errorf("%s: the configuration is %s, the program looks for %s", line, got, systemConfig)
		}
	}
	if ours != 2 {
		t.Errorf("%d command lines of ours, want run and check", ours)
	}
	noEnvironment := func(string) string { return "" }
	for key, path := range map[string]string{
		"StateDirectory":         config.DefaultStateDir(noEnvironment),
		"ConfigurationDirectory": filepath.Dir(systemConfig),
		"User":                   "/any/sonde",
		"Group":                  "/any/sonde",
	} {
		if got := unit[key]; len(got) != 1 || got[0] != filepath.Base(path) {
			t.Errorf("%s=%q, the program has %s", key, got, path)
		}
	}
}

// TestUnitSockets holds the socket units against where the daemon's own sockets are,
// so that the commands find either.
func TestUnitSockets(t *testing.T) {
	dir := config.DefaultRuntimeDir(func(string) string { return "" })
	for name, file := range map[string]string{"read": config.ReadSocket, "act": config.ActSocket} {
		text, err := os.ReadFile("../systemd/sonde-" + name + ".socket")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"ListenStream=" + filepath.Join(dir, file), "FileDescriptorName=" + name,
			"Service=sonde.service", "SocketMode=0660"} {
			if !strings.Contains(string(text), "\n"+want+"\n") {
				t.Errorf("sonde-%s.socket lacks %s", name, want)
			}
		}
	}
}

// TestUnitLimits holds the unit's numbers against those of the program.
func TestUnitLimits(t *testing.T) {
	unit := readUnit(t)
	number := func(key string) int {
		n, err := strconv.Atoi(strings.Join(unit[key], ","))
		if err != nil {
			t.Errorf("%s: %v", key, err)
		}
		return n
	}
	const most, others = 20_000, 4_000 // connections that a configuration allows; store, outputs, sweeps
	cfg, err := config.Parse([]config.Source{{Name: "most", Data: []byte("[limits]\nconnections = 20000\n")}}, nil)
	if err != nil || cfg.Limits.Connections != most {
		t.Fatalf("the highest number of connections is another: %v", err)
	}
	if n := number("LimitNOFILE"); n < most+others {
		t.Errorf("LimitNOFILE=%d, connections and the rest take %d", n, most+others)
	}
	if stop := time.Duration(number("TimeoutStopSec")) * time.Second; stop < 2*(flushTimeout+recordWithin) {
		t.Errorf("TimeoutStopSec=%s, a stop takes %s", stop, flushTimeout+recordWithin)
	}
	// Go's runtime ends a program that panicked, or that the watchdog told to
	// stop, with the status of a usage error.
	if got := unit["RestartPreventExitStatus"]; got != nil {
		t.Errorf("RestartPreventExitStatus=%q keeps what failed from being started again", got)
	}
}

// notSockets are address families that the program names without opening a
// socket of them: in messages to the kernel.
var notSockets = []string{"AF_UNSPEC", "AF_BRIDGE"}

// TestUnitFamilies holds the address families of the unit, and its capability,
// against those that the source names.
func TestUnitFamilies(t *testing.T) {
	used := map[string]bool{"AF_UNIX": true} // sd_notify, the journal, /dev/log, by package net
	capabilities := map[string]bool{}
	eachSource(t, func(file string, f *ast.File) {
		for _, imp := range f.Imports {
			if strings.HasPrefix(imp.Path.Value, `"github.com/vishvananda/netlink`) {
				used["AF_NETLINK"] = true
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && strings.HasPrefix(sel.Sel.Name, "AF_") {
				used[sel.Sel.Name] = true
			}
			if lit, ok := n.(*ast.BasicLit); ok {
				for _, c := range regexp.MustCompile(`\bCAP_[A-Z]+_?[A-Z]*\b`).FindAllString(lit.Value, -1) {
					capabilities[c] = true
				}
			}
			return true
		})
	})
	for _, af := range notSockets {
		delete(used, af)
	}
	unit := readUnit(t)
	sameSet(t, "RestrictAddressFamilies", unit["RestrictAddressFamilies"], used)
	sameSet(t, "CapabilityBoundingSet", unit["CapabilityBoundingSet"], maps.Clone(capabilities))
	sameSet(t, "AmbientCapabilities", unit["AmbientCapabilities"], capabilities)
}

func sameSet(t *testing.T, key string, values []string, want map[string]bool) {
	t.Helper()
	for v := range strings.FieldsSeq(strings.Join(values, " ")) {
		if !want[v] {
			t.Errorf("%s has %s, which the program does not use", key, v)
		}
		delete(want, v)
	}
	for v := range want {
		t.Errorf("%s lacks %s, which the program uses", key, v)
	}
}

// eachSource calls fn for each Go file that becomes part of the program.
func eachSource(t *testing.T, fn func(file string, f *ast.File)) {
	t.Helper()
	files := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (strings.HasSuffix(name, "test") || strings.HasSuffix(name, "bench") ||
			name == "testdata" || name == "onwire" || strings.HasPrefix(name, ".") && name != "..") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err == nil {
			files++
			fn(path, f)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 100 {
		t.Fatalf("looked at %d files only", files)
	}
}

// mostExposure is what `systemd-analyze security` may say: 1.6 of 10, of which
// the unit explains each part.
const mostExposure = 1.6

func TestUnitExposure(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("skipped: systemd-analyze is not there")
	}
	for _, unit := range []string{unitFile, "../systemd/sonde@.service"} {
		path, err := filepath.Abs(unit)
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(analyze, "security", "--offline=yes", "--no-pager", path).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		m := regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
		if m == nil {
			t.Fatalf("no exposure in\n%s", out)
		}
		if x, err := strconv.ParseFloat(string(m[1]), 64); err != nil || x > mostExposure {
			t.Errorf("%s: exposure %s, at most %v may remain\n%s", unit, m[1], mostExposure, out)
		}
	}
}
