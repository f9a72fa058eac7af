package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport is the direction of the imports: a package below the key (the
// longest key that fits) may import our packages below its values, and no
// others. The borders between the parts are worth only as much as this test.
var mayImport = map[string][]string{
	"sonde/match":                     {"sonde/match"},
	"sonde/probes":                    {"sonde/match", "sonde/probes"},
	"sonde/probes/ports":              {},
	"sonde/probes/engine":             {},
	"sonde/probes/engine/enginetest":  {"sonde/probes/engine"},
	"sonde/probes/grammar":            {"sonde/match", "sonde/probes/ports"},
	"sonde/capture":                   {"sonde/capture"},
	"sonde/capture/frame":             {},
	"sonde/capture/link":              {"sonde/capture/frame", "sonde/capture/capturetest"}, // its tests
	"sonde/capture/passive":           {"sonde/capture/frame", "sonde/capture/link", "sonde/capture/capturetest"},
	"sonde/config":                    {"sonde/probes/ports"},
	"sonde/systemd":                   {},
	"sonde/daemon":                    {"sonde"}, // the wiring knows all
	"sonde/daemon/internal":           {"sonde/match", "sonde/probes", "sonde/capture", "sonde/daemon/internal"},
	"sonde/daemon/internal/event":     {"sonde/match", "sonde/probes"},
	"sonde/daemon/internal/inventory": {"sonde/match", "sonde/probes", "sonde/daemon/internal/event", "sonde/daemon/internal/fault", "sonde/daemon/internal/filelock", "sonde/daemon/internal/sqlfile"},
	"sonde/daemon/internal/emit":      {"sonde/match", "sonde/probes", "sonde/daemon/internal/event", "sonde/daemon/internal/fault", "sonde/daemon/internal/task"},
	"sonde/daemon/internal/schedule":  {"sonde/daemon/internal/event", "sonde/probes"},
}

// mayNotImport names what mayImport would allow: a conversation is pure, so what
// holds it knows nothing of sockets or of who drives it.
var mayNotImport = map[string][]string{
	"sonde/probes/session":  {"sonde/probes/engine", "sonde/probes/visitor"},
	"sonde/probes/tlsprobe": {"sonde/probes/engine", "sonde/probes/visitor", "sonde/probes/session"},
	"sonde/capture":         {"sonde/capture/frame", "sonde/capture/link", "sonde/capture/route", "sonde/capture/onlink", "sonde/capture/sweep", "sonde/capture/passive"},
	"sonde/capture/route":   {"sonde/capture/frame", "sonde/capture/link", "sonde/capture/onlink", "sonde/capture/sweep", "sonde/capture/passive"},
	"sonde/capture/onlink":  {"sonde/capture/sweep", "sonde/capture/passive"},
	"sonde/capture/sweep":   {"sonde/capture/passive"},
}

// onlyIn names modules that stay inside a folder or a few, so that they can be
// replaced there.
var onlyIn = map[string][]string{
	"github.com/google/gopacket":     {"sonde/capture"},
	"github.com/vishvananda/netlink": {"sonde/capture/route"},
	"github.com/BurntSushi/toml":     {"sonde/config"},
	"github.com/coreos/go-systemd":   {"sonde/systemd"},
	"github.com/spf13/cobra":         {"sonde/daemon"},
	"modernc.org/sqlite":             {"sonde/daemon/internal/inventory", "sonde/daemon/internal/sent", "sonde/daemon/internal/sqlfile"},
	// Its txtar, a format of test cases, may be read anywhere.
	"github.com/rogpeppe/go-internal/testscript": {"sonde/daemon"},
	"sonde/daemon/internal/inventory":            {"sonde/daemon"},
	"golang.org/x/time":                          {"sonde/daemon/internal/budget"},
	"github.com/santhosh-tekuri/jsonschema":      {"sonde/daemon"}, // tests only
	"github.com/prometheus/client_golang":        {"sonde/daemon/internal/control"},
}

func TestImportDirections(t *testing.T) {
	files := 0
	eachGoFile(t, func(pkg, file string, f *ast.File) {
		files++
		for _, imp := range f.Imports {
			to, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if below(to, "sonde") && to != pkg && !allowed(pkg, to) {
				t.Errorf("%s: %s must not import %s", file, pkg, to)
			}
			for _, not := range mayNotImport[pkg] {
				if below(to, not) {
					t.Errorf("%s: %s must not import %s", file, pkg, to)
				}
			}
			for lib, homes := range onlyIn {
				if below(to, lib) && !slices.ContainsFunc(homes, func(home string) bool { return below(pkg, home) }) {
					t.Errorf("%s: %s may be imported below %s only", file, to, homes)
				}
			}
		}
	})
	if files < 20 {
		t.Errorf("looked at %d files only: is the module root found?", files)
	}
}

func TestEveryPackageIsDocumented(t *testing.T) {
	documented := map[string]bool{}
	eachGoFile(t, func(pkg, file string, f *ast.File) {
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		documented[pkg] = documented[pkg] || f.Doc != nil
	})
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment", pkg)
		}
	}
}

// eachGoFile calls fn for each Go file of the module with its import path.
func eachGoFile(t *testing.T, fn func(pkg, file string, f *ast.File)) {
	t.Helper()
	root := ".."
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatalf("the module root is not above this package: %v", err)
	}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && p != root && (strings.HasPrefix(name, ".") || name == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(p))
		if err != nil {
			return err
		}
		fn(path.Join("sonde", filepath.ToSlash(rel)), p, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func allowed(from, to string) bool {
	best := ""
	for key := range mayImport {
		if below(from, key) && len(key) > len(best) {
			best = key
		}
	}
	for _, dir := range mayImport[best] {
		if below(to, dir) {
			return true
		}
	}
	return best != "" && below(to, from) // its own sub-packages
}

// below says whether a package is at or below the path dir.
func below(pkg, dir string) bool {
	return pkg == dir || strings.HasPrefix(pkg, dir+"/")
}
