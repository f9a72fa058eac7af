package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"sonde/config"
	"sonde/match"
	"sonde/probes"
)

// commands gives every command, the hidden ones and cobra's own too.
func commands(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		all = append(all, commands(sub)...)
	}
	return all
}

func testRoot() *cobra.Command {
	root := newRoot()
	root.SetOut(new(bytes.Buffer))
	ownWays(root)
	return root
}

// TestExamples parses the examples in each command's help as the program
// would: an example with a flag that is gone teaches what does not work.
func TestExamples(t *testing.T) {
	for _, c := range commands(testRoot()) {
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s: no short help or no example", c.CommandPath())
		}
		for line := range strings.Lines(c.Example) {
			args, ok := exampleArgs(line)
			if !ok {
				t.Errorf("%s: example %q runs no sonde", c.CommandPath(), line)
				continue
			}
			root := testRoot() // flags keep their values
			found, rest, err := root.Find(args)
			if err == nil {
				err = found.ParseFlags(rest)
			}
			if err == nil {
				err = found.ValidateArgs(found.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: example %q: %v", c.CommandPath(), line, err)
			}
			if c.HasParent() && !c.HasSubCommands() && found.CommandPath() != c.CommandPath() {
				t.Errorf("%s: example %q is of %s", c.CommandPath(), line, found.CommandPath())
			}
		}
	}
}

// exampleArgs finds the call of sonde in a line of shell.
func exampleArgs(line string) (args []string, ok bool) {
	line, _, _ = strings.Cut(line, "#")
	if i := strings.LastIndex(line, "|"); i >= 0 {
		line = line[i+1:]
	}
	line = strings.NewReplacer("source <(", "", ")", "").Replace(line)
	fields := strings.Fields(line)
	if len(fields) == 0 || fields[0] != "sonde" {
		return nil, false
	}
	return fields[1:], true
}

func TestTell(t *testing.T) {
	mistake := &config.Error{File: "a.toml", Line: 2, Col: 3, Key: "k", Reason: "is wrong"}
	problem := &probes.Problem{Pos: match.Position{File: "a.probes", Line: 4, Col: 5}, Text: "is odd"}
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"plain", errors.New("no"), "sonde: no\n"},
		{"several", errors.Join(errors.New("one"), errors.New("two")), "sonde: one\nsonde: two\n"},
		{"said already", errSilent, ""},
		{"one mistake", config.Errors{mistake}, "a.toml:2:3: k: is wrong\n"},
		{"mistakes", fmt.Errorf("x: %w", config.Errors{mistake, mistake}),
			"a.toml:2:3: k: is wrong\na.toml:2:3: k: is wrong\n" +
				"sonde: the configuration: 2 mistakes, listed above\n"},
		{"one problem", probes.Problems{problem}, "a.probes:4:5: is odd\n"},
		{"problems", probes.Problems{problem, problem}, "a.probes:4:5: is odd\na.probes:4:5: is odd\n" +
			"sonde: the probe files: 2 mistakes, listed above\n"},
	} {
		var b bytes.Buffer
		tell(&b, tt.err)
		if b.String() != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, b.String(), tt.want)
		}
	}
}

// TestRunUsesItsStreams makes sure that nothing, not even what cobra adds,
// writes past the streams that run is given.
func TestRunUsesItsStreams(t *testing.T) {
	for _, tt := range []struct {
		args     []string
		code     int
		out, err string
	}{
		{[]string{"completion", "bash"}, exitDone, "__start_sonde", ""},
		{[]string{"--help"}, exitDone, "Usage:", ""},
		{[]string{"nope"}, exitUsage, "", "no command"},
		{[]string{"match", "/nowhere/answer"}, exitAct, "", "no such file"},
	} {
		var out, errOut bytes.Buffer
		if code := run(tt.args, strings.NewReader(""), &out, &errOut); code != tt.code {
			t.Errorf("%q: exit code %d, want %d", tt.args, code, tt.code)
		}
		if !strings.Contains(out.String(), tt.out) || (out.Len() == 0) != (tt.out == "") {
			t.Errorf("%q: standard output %q, want %q in it", tt.args, out.String(), tt.out)
		}
		if !strings.Contains(errOut.String(), tt.err) || (errOut.Len() == 0) != (tt.err == "") {
			t.Errorf("%q: standard error %q, want %q in it", tt.args, errOut.String(), tt.err)
		}
	}
}
