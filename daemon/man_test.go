package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sonde/config"
)

// TestManualPages writes all pages, has man render them without a warning, and
// looks for every command and every key.
func TestManualPages(t *testing.T) {
	dir := t.TempDir()
	root := newRoot()
	if err := writeManPages(root, dir); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	first := read("sonde.8")
	for _, c := range root.Commands() {
		if !c.IsAvailableCommand() {
			continue
		}
		if see := `\fBsonde-` + c.Name() + `(1)\fP`; !strings.Contains(first, see) {
			t.Errorf("sonde.8 lacks %s", see)
		}
		if page := read("sonde-" + c.Name() + ".1"); !strings.Contains(page, `\fBsonde(8)\fP`) {
			t.Errorf("the page of %s does not lead to sonde(8)", c.Name())
		}
	}
	keys := regexp.MustCompile(`(?m)^[a-z_]+ = .*$|^\[.*\]$`).FindAllString(string(config.Reference), -1)
	if len(keys) < 60 {
		t.Fatalf("found %d keys only", len(keys))
	}
	page := read("sonde.toml.5")
	for _, k := range keys {
		if !strings.Contains(page, escapeRoff(k)) {
			t.Errorf("sonde.toml.5 lacks %s", k)
		}
	}
	man, err := exec.LookPath("man")
	if err != nil {
		t.Skip("skipped: there is no man to render the pages")
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.[158]"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		c := exec.Command(man, "--warnings=w", "-E", "UTF-8", "-l", "-Tutf8", "-Z", p)
		c.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANWIDTH=80")
		var out, complaints strings.Builder
		c.Stdout, c.Stderr = &out, &complaints
		if err := c.Run(); err != nil || complaints.Len() > 0 || out.Len() == 0 {
			t.Errorf("man -l %s: %v, %d bytes\n%s", filepath.Base(p), err, out.Len(), complaints.String())
		}
	}
}

func TestEscapeRoff(t *testing.T) {
	for in, want := range map[string]string{
		"a-b": `a\-b`, `\n`: `\en`, ".TH": `\&.TH`, "'x": `\&'x`, "... and": `\&... and`,
	} {
		if got := escapeRoff(in); got != want {
			t.Errorf("escapeRoff(%q) = %q, want %q", in, got, want)
		}
	}
}
