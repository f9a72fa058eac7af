package config

import (
	"strings"
	"testing"
)

func TestControl(t *testing.T) {
	c, err := parse("[control]\nenabled = false\ndirectory = '/run/x'\nread_group = 'ops'\nact_group = '27'\nlisten = '[::1]:9797'\n")
	if err != nil {
		t.Fatal(err)
	}
	c.Resolve("box", "/var/lib/sonde", "/run/sonde")
	got := c.Control
	if got.Enabled || got.ReadPath() != "/run/x/read.sock" || got.ActPath() != "/run/x/act.sock" ||
		got.ReadGroup != "ops" || got.ActGroup != "27" || got.Listen.String() != "[::1]:9797" {
		t.Errorf("read %+v", got)
	}
	now, _ := parse("")
	now.Resolve("box", "/var/lib/sonde", "/run/sonde")
	if d := Diff(c, now); len(d.Restart) != 1 || d.Restart[0] != "control" {
		t.Errorf("sockets that move need a restart: %+v", d)
	}
}

// TestControlDirectory: who asks finds the sockets by the same files as the
// daemon, whoever it is.
func TestControlDirectory(t *testing.T) {
	for _, c := range []struct{ about, text, runtime, want string }{
		{"a service", "", "/run/sonde", "/run/sonde"},
		{"a user's own", "", "", "/home/u/state"},
		{"another state directory", "[sensor]\nstate_dir = '/data'\n", "/run/sonde", "/data"},
		{"said", "[sensor]\nstate_dir = '/data'\n[control]\ndirectory = '/x'\n", "/run/sonde", "/x"},
	} {
		cfg, err := parse(c.text)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Resolve("box", "/home/u/state", c.runtime)
		if got := cfg.Control.Directory; got != c.want {
			t.Errorf("%s: %s, want %s", c.about, got, c.want)
		}
	}
	for env, want := range map[string]string{"": "/run/sonde", "/run/a:/run/b": "/run/a"} {
		if got := DefaultRuntimeDir(func(string) string { return env }); got != want {
			t.Errorf("RUNTIME_DIRECTORY=%q gives %s", env, got)
		}
	}
}

func TestControlMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"listen = '0.0.0.0:9797'":         `"0.0.0.0:9797" is not on loopback`,
		"listen = '192.0.2.1:9797'":       `is not on loopback`,
		"listen = '[::]:9797'":            `is not on loopback`,
		"listen = '[::ffff:10.0.0.1]:80'": `is not on loopback`,
		"listen = 'localhost:9797'":       `is no address with a port`,
		"listen = ':9797'":                `is no address with a port`,
		"listen = '127.0.0.1:0'":          `has no port`,
		"directory = 'run'":               `write a path that begins with /`,
		"read_group = 'a b'":              `"a b" is no group`,
		"read_group = 'a:b'":              `is no group`,
		"read_group = '4294967296'":       `is no group`,
		"socket = '/x'":                   `unknown key`,
	} {
		_, err := parse("[control]\n" + text + "\n")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
