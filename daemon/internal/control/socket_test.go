//go:build unix

package control

import (
	"errors"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

// shortDir is a directory whose path leaves room for the name of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestSocketFile(t *testing.T) {
	dir := filepath.Join(shortDir(t), "new")
	d, err := OpenDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	l, err := d.Listen("read.sock", "")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "read.sock")
	st, err := os.Stat(path)
	if err != nil || st.Mode() != os.ModeSocket|0o660 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if _, err := OpenDirectory(dir); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second daemon: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file is left: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// TestSocketThatWasLeft: a daemon that was killed leaves its socket, which the
// next one replaces.
func TestSocketThatWasLeft(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "read.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	d, err := OpenDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	l, err := d.Listen("read.sock", "")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestSocketGroup(t *testing.T) {
	d, err := OpenDirectory(shortDir(t))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	me, err := user.LookupGroupId("0")
	if os.Geteuid() != 0 || err != nil {
		t.Skip("only root may give a socket to any group")
	}
	for _, group := range []string{me.Name, "4242"} {
		l, err := d.Listen("read.sock", group)
		if err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(filepath.Join(d.path, "read.sock"))
		if err != nil {
			t.Fatal(err)
		}
		if gid, ok := groupOf(st); !ok || group == "4242" && gid != 4242 {
			t.Errorf("group %s: %d", group, gid)
		}
		l.Close()
	}
}

func TestSocketThatCannotBe(t *testing.T) {
	d, err := OpenDirectory(shortDir(t))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := os.WriteFile(filepath.Join(d.path, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, group, want string }{
		{"file", "", "is there and is no socket; move it away"},
		{strings.Repeat("x", maxSocketPath), "", "which no system takes; set control.directory"},
		{"read.sock", "no-such-group-here", "make it, or name another"},
	} {
		l, err := d.Listen(c.name, c.group)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v", c.name, l, err)
		}
	}
	if _, err := OpenDirectory(filepath.Join(d.path, "file", "x")); err == nil || !strings.Contains(err.Error(), "set control.directory") {
		t.Errorf("below a file: %v", err)
	}
}
