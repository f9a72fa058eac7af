package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/BurntSushi/toml"
)

// The directories beside the main file.
const (
	confDir     = "conf.d"     // *.toml, read after the main file in order of name
	excludeDir  = "exclude.d"  // one address, CIDR prefix or run per line
	probesDir   = "probes.d"   // *.probes, whose lines come before all others
	expectedDir = "expected.d" // *.toml, the accepted state
)

// MaxFileSize bounds one file: 4 MiB are 100,000 lines of exclude.d, and keep
// a wrong path (a log, a device) from filling the memory.
const MaxFileSize = 4 << 20

// A Source is one file's name, as mistakes will name it, and content.
type Source struct {
	Name string
	Data []byte
}

// Load reads the main file at path, then conf.d/*.toml, exclude.d/* and
// expected.d/*.toml in the directory of that file, where they exist. In
// exclude.d names that begin with a dot or end in "~" are left out. The files
// probes.d/*.probes are named in the Config, not read.
//
// Mistakes in the files are [Errors]; a file that cannot be read is told by
// the error of the operating system. On any error there is no Config.
func Load(path string) (*Config, error) { return load(path, true) }

// LoadDraft reads as Load does, but takes promises that cannot hold: for those
// who ask what they cost and what would have to change.
func LoadDraft(path string) (*Config, error) { return load(path, false) }

func load(path string, promises bool) (*Config, error) {
	dir := filepath.Dir(path)
	files, err := list(dir, confDir, "*.toml")
	if err != nil {
		return nil, err
	}
	sources, err := readAll(append([]string{path}, files...))
	if err != nil {
		return nil, err
	}
	lists, err := excludeFiles(filepath.Join(dir, excludeDir))
	if err != nil {
		return nil, err
	}
	excludes, err := readAll(lists)
	if err != nil {
		return nil, err
	}
	accepted, err := list(dir, expectedDir, "*.toml")
	if err != nil {
		return nil, err
	}
	expected, err := readAll(accepted)
	if err != nil {
		return nil, err
	}
	c, err := parseWith(sources, excludes, expected, promises)
	if err != nil {
		return nil, err
	}
	c.Database.Local, err = list(dir, probesDir, "*.probes")
	if err != nil {
		return nil, err
	}
	return c, nil
}

// list gives the files of a directory beside the main file, in order of name;
// none if there is no such directory.
func list(dir, sub, pattern string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(escapeGlob(dir), sub, pattern))
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", filepath.Join(dir, sub), err)
	}
	return files, nil
}

// escapeGlob takes the meaning from the characters of a directory's name.
func escapeGlob(s string) string {
	var out []byte
	for _, c := range []byte(s) {
		if c == '*' || c == '?' || c == '[' || c == '\\' {
			out = append(out, '\\')
		}
		out = append(out, c)
	}
	return string(out)
}

func excludeFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if n := e.Name(); !e.IsDir() && n[0] != '.' && n[len(n)-1] != '~' {
			out = append(out, filepath.Join(dir, n))
		}
	}
	return out, nil
}

func readAll(files []string) ([]Source, error) {
	var out []Source
	for _, name := range files {
		data, err := readFile(name)
		if err != nil {
			return nil, err
		}
		out = append(out, Source{name, data})
	}
	return out, nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxFileSize {
		return nil, fmt.Errorf("read %s: larger than %d bytes; split it", name, MaxFileSize)
	}
	return data, nil
}

// Parse reads TOML files, in order, and lists of excluded addresses. What no
// file sets has its default; without a single watch that is the watch of
// [Default]. The error, if any, is an [Errors].
func Parse(files, excludes []Source) (*Config, error) { return parseAll(files, excludes, true) }

func parseAll(files, excludes []Source, promises bool) (*Config, error) {
	return parseWith(files, excludes, nil, promises)
}

func parseWith(files, excludes, expected []Source, promises bool) (*Config, error) {
	r := &reader{set: map[string]Pos{}}
	c := defaults()
	c.Watches = nil
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
		r.file(&c, f)
	}
	excluded := []Range{}
	for _, f := range excludes {
		names = append(names, f.Name)
		excluded = append(excluded, r.excludeList(f)...)
	}
	for _, f := range expected {
		names = append(names, f.Name)
		r.expectedFile(&c, f)
	}
	r.checkLimits(&c)
	r.checkConfirm(&c)
	r.checkWatches(&c)
	r.checkMaintenance(&c)
	r.checkOutputs(&c)
	if len(c.Watches) == 0 {
		c.Watches = defaults().Watches
	}
	for _, w := range c.Watches {
		excluded = append(excluded, w.Exclude...)
	}
	c.Excluded = NewAddrSet(excluded...)
	if promises && len(r.errs) == 0 {
		r.promises(&c)
	}
	if err := r.errs.result(names); err != nil {
		return nil, err
	}
	return &c, nil
}

// file reads one TOML file into c.
func (r *reader) file(c *Config, f Source) {
	var m map[string]any
	if _, err := toml.Decode(string(f.Data), &m); err != nil {
		r.syntax(f.Name, err)
		return
	}
	rootTable.read(r, c, value{m, f.Name, "", "", places(string(f.Data))})
}

// syntax tells why a file is no TOML.
func (r *reader) syntax(name string, err error) {
	var pe toml.ParseError
	if !errors.As(err, &pe) {
		r.fail(Pos{File: name}, "", "%v", err)
		return
	}
	r.fail(Pos{name, pe.Position.Line, max(pe.Position.Col, 1)}, pe.LastKey,
		"%s; the rest of the file is not looked at before this is mended", pe.Message)
}

// excludeList reads one address, prefix or run per line; from # on a line is
// a comment.
func (r *reader) excludeList(f Source) []Range {
	var out []Range
	n := 0
	for line := range bytes.Lines(f.Data) {
		n++
		text, _, _ := bytes.Cut(line, []byte("#"))
		s := bytes.TrimSpace(text)
		if len(s) == 0 {
			continue
		}
		x, err := ParseRange(string(s))
		if err != nil {
			r.fail(Pos{f.Name, n, bytes.Index(line, s) + 1}, "", "%v", err)
			continue
		}
		out = append(out, x)
	}
	return slices.Clip(out)
}

// checkLimits checks what concerns more than one key.
func (r *reader) checkLimits(c *Config) {
	l := c.Limits
	if l.HostConnections <= l.ConversationConnections() {
		return
	}
	for _, key := range []string{"limits.host_connections", "limits.connections"} {
		if at, set := r.set[key]; set {
			r.fail(at, key, "host_connections, %d, is more than a quarter of connections, %d; lower the one, or raise the other",
				l.HostConnections, l.Connections)
			return
		}
	}
}

// promises turns what cannot be kept into mistakes at their keys.
func (r *reader) promises(c *Config) {
	for _, p := range c.Feasible(c.Costing()) {
		at := Pos{}
		for i, w := range c.Watches {
			if w.Name == p.Watch {
				at = r.where(i, p.Key)
			}
		}
		r.fail(at, "watch."+p.Key, "%s", p.Reason)
	}
}
