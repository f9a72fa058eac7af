//go:build unix

package control

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestRestore: whatever becomes of the files, the next Restore has them again,
// and whoever was accepting goes on.
func TestRestore(t *testing.T) {
	for _, tt := range []struct {
		about  string
		change func(t *testing.T, dir string) error
		undone bool // there is something to do
	}{
		{"nothing happened", func(*testing.T, string) error { return nil }, false},
		{"a socket was removed", func(_ *testing.T, dir string) error {
			return os.Remove(filepath.Join(dir, "read.sock"))
		}, true},
		{"all was removed", func(_ *testing.T, dir string) error { return os.RemoveAll(dir) }, true},
		{"another directory is in its place", func(_ *testing.T, dir string) error {
			return errors.Join(os.Rename(dir, dir+".before"), os.Mkdir(dir, 0o755))
		}, true},
		{"another one's socket is in its place", func(t *testing.T, dir string) error {
			path := filepath.Join(dir, "read.sock")
			if err := os.Remove(path); err != nil {
				return err
			}
			l, err := net.Listen("unix", path)
			t.Cleanup(func() { l.Close() })
			return err
		}, true},
	} {
		t.Run(tt.about, func(t *testing.T) {
			dir := filepath.Join(shortDir(t), "d")
			d, err := OpenDirectory(dir)
			if err != nil {
				t.Fatal(err)
			}
			l, err := d.Listen("read.sock", "")
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error)
			go func() { // until it is closed
				for {
					c, err := l.Accept()
					if err != nil {
						served <- err
						return
					}
					c.Close()
				}
			}()
			if err := tt.change(t, dir); err != nil {
				t.Fatal(err)
			}
			if restored, err := d.Restore(); restored != tt.undone || err != nil {
				t.Errorf("restored: %v, %v", restored, err)
			}
			if restored, err := d.Restore(); restored || err != nil {
				t.Errorf("restored twice: %v, %v", restored, err)
			}
			path := filepath.Join(dir, "read.sock")
			st, err := os.Stat(path)
			if err != nil || st.Mode() != os.ModeSocket|0o660 {
				t.Fatalf("%v, %v", st, err)
			}
			c, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("nobody accepts there: %v", err)
			}
			c.Close()
			if _, err := OpenDirectory(dir); !errors.Is(err, ErrInUse) {
				t.Errorf("a second daemon: %v", err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if err := <-served; !errors.Is(err, net.ErrClosed) {
				t.Errorf("the one who accepts hears %v", err)
			}
			if _, err := os.Stat(path); !os.IsNotExist(err) {
				t.Errorf("the file is left: %v", err)
			}
			if err := errors.Join(d.Close(), d.Close()); err != nil {
				t.Error(err)
			}
			if restored, err := d.Restore(); restored || err != nil {
				t.Errorf("after Close: %v, %v", restored, err)
			}
		})
	}
}

// TestRestoreWhereItCannotBe: the error says why, and the next try has them.
func TestRestoreWhereItCannotBe(t *testing.T) {
	dir := filepath.Join(shortDir(t), "d")
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
	if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if restored, err := d.Restore(); restored || err == nil {
		t.Errorf("in a file's place: %v, %v", restored, err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if restored, err := d.Restore(); !restored || err != nil {
		t.Errorf("when it is gone: %v, %v", restored, err)
	}
}
