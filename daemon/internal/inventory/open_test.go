package inventory

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"sonde/daemon/internal/event"
)

func TestSecondOpenerIsToldWhoHasIt(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, newClock())
	_, err := Open(t.Context(), Config{Dir: dir})
	wantOpenError(t, err, ErrInUse, fmt.Sprintf("another sonde uses it (pid %d)", os.Getpid()))
	out, err := child(t, "open", dir).Output()
	if err == nil || !strings.Contains(string(out), "another sonde uses it (pid") {
		t.Errorf("another process: %v, %s", err, out)
	}
	s.Close()
	if out, err := child(t, "open", dir).Output(); err != nil {
		t.Errorf("after Close: %v, %s", err, out)
	}
}

func wantOpenError(t *testing.T, err, reason error, text string) {
	t.Helper()
	var oe *OpenError
	switch {
	case !errors.Is(err, reason), !errors.As(err, &oe):
		t.Errorf("error %v, want one that is %v", err, reason)
	case oe.Remedy == "" || !strings.Contains(err.Error(), oe.Remedy):
		t.Errorf("error %q without a remedy", err)
	case strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), text):
		t.Errorf("error %q, want one line with %q", err, text)
	}
}

func TestDamagedFiles(t *testing.T) {
	damage := map[string]func(t *testing.T, path string){
		"no database": func(t *testing.T, path string) {
			writeFile(t, path, strings.Repeat("this is a text\n", 1000))
		},
		"another program's": func(t *testing.T, path string) {
			os.Remove(path)
			execSQL(t, path, "create table x (y); pragma user_version = 1")
		},
		"pages overwritten": func(t *testing.T, path string) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := 4096; i < len(text); i++ {
				text[i] = byte(i * 7)
			}
			writeFile(t, path, string(text))
		},
	}
	for name, do := range damage {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			openStore(t, dir, newClock()).Close()
			do(t, filepath.Join(dir, FileName))
			_, err := Open(t.Context(), Config{Dir: dir})
			wantOpenError(t, err, ErrCorrupt, FileName)
			if name == "pages overwritten" {
				return // the first page, all that a reader sees at once, is whole
			}
			_, err = OpenReadOnly(t.Context(), dir)
			wantOpenError(t, err, ErrCorrupt, FileName)
		})
	}
}

func TestDamageIsFoundAfterACrash(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir, newClock())
	for i := range 50 {
		mustApply(t, s, visitOf("192.0.2.1", uint16(i+1), newClock().now(), "OpenSSH", "9.2"))
	}
	s.Close()
	path := filepath.Join(dir, FileName)
	execSQL(t, path, "update meta set value = 0 where key = 'clean_end'")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	fi, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	// The last page is one of the endpoints' or identities': opening reads none.
	if _, err := f.WriteAt([]byte(strings.Repeat("\xff", 2048)), fi.Size()-4096); err != nil {
		t.Fatal(err)
	}
	f.Close()
	_, err = Open(t.Context(), Config{Dir: dir})
	wantOpenError(t, err, ErrCorrupt, FileName)
}

func TestNewerSchema(t *testing.T) {
	dir := t.TempDir()
	openStore(t, dir, newClock()).Close()
	execSQL(t, filepath.Join(dir, FileName), "pragma user_version = 99")
	_, err := Open(t.Context(), Config{Dir: dir})
	wantOpenError(t, err, ErrNewerSchema, "schema is 99")
	_, err = OpenReadOnly(t.Context(), dir)
	wantOpenError(t, err, ErrNewerSchema, "schema is 99")
}

func TestNothingToRead(t *testing.T) {
	_, err := OpenReadOnly(t.Context(), t.TempDir())
	wantOpenError(t, err, ErrNoStore, "start the daemon first")
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v does not say that the file is missing", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "")
	_, err = Open(t.Context(), Config{Dir: file})
	wantOpenError(t, err, ErrNotWritable, "not a directory")
}

// asNobody runs a job as a user without any rights on dir's files but those
// that everyone has.
func asNobody(t *testing.T, job, dir string) (string, error) {
	t.Helper()
	cmd := child(t, job, dir)
	if os.Geteuid() == 0 {
		becomeNobody(t, cmd)
	}
	out, err := cmd.Output()
	return string(out), err
}

// publicDir is a state directory that everyone may look into.
func publicDir(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs the permissions of a Unix system")
	}
	dir, err := os.MkdirTemp("", "sonde-inventory-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func chmodAll(t *testing.T, dir string, file, self os.FileMode) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Chmod(filepath.Join(dir, e.Name()), file); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, self); err != nil {
		t.Fatal(err)
	}
}

func TestNoPermissionToWrite(t *testing.T) {
	dir := publicDir(t)
	openStore(t, dir, newClock()).Close()
	chmodAll(t, dir, 0o444, 0o555)
	out, err := asNobody(t, "open", dir)
	if err == nil || !strings.Contains(out, "not writable") || !strings.Contains(out, "permission") ||
		strings.Count(out, "\n") != 1 {
		t.Errorf("got %v, %q", err, out)
	}
	out, err = asNobody(t, "open", filepath.Join(dir, "below", "state"))
	if err == nil || !strings.Contains(out, "not writable") {
		t.Errorf("a directory that cannot be made: %v, %q", err, out)
	}
}

func TestReadingWithoutPermissionToWrite(t *testing.T) {
	dir := publicDir(t)
	s := openStore(t, dir, newClock())
	record := func(n int) {
		t.Helper()
		for range n {
			if err := s.Record(t.Context(), event.Event{Action: event.SensorHeartbeat}); err != nil {
				t.Fatal(err)
			}
		}
	}
	expect := func(state, want string) {
		t.Helper()
		if out, err := asNobody(t, "read", dir); err != nil || out != want+"\n" {
			t.Errorf("%s: %v, %q, want %q", state, err, out, want)
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 4 {
			t.Errorf("%s: the reader left something behind: %v, %v", state, left, err)
		}
	}
	record(3)
	chmodAll(t, dir, 0o644, 0o755)
	expect("while the daemon runs", "last 3")
	record(1)
	expect("after another commit", "last 4")
	s.Close()
	chmodAll(t, dir, 0o444, 0o555)
	expect("after a clean end", "last 4")
}

func TestReadingAfterACrash(t *testing.T) {
	dir := publicDir(t)
	cmd := child(t, "write", dir)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var p promised
	p.read(t, out, func(lines int) bool { return lines > 10 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.read(t, out, nil)
	_ = cmd.Wait() // it was killed
	chmodAll(t, dir, 0o444, 0o555)
	got, err := asNobody(t, "read", dir)
	var last int64
	if _, scanErr := fmt.Sscanf(got, "last %d\n", &last); err != nil || scanErr != nil || last < p.seq {
		t.Errorf("read %q, %v; %d events were promised", got, err, p.seq)
	}
}

// TestReadersAndAWriter has readers look while a writer commits: what they
// see is always a whole number of commits.
func TestReadersAndAWriter(t *testing.T) {
	dir := t.TempDir()
	c := newClock()
	s := openStore(t, dir, c)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		r, err := OpenReadOnly(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer r.Close()
			for last := 0; ; {
				rows, err := r.Events(t.Context(), 0, 10_000)
				if err != nil || len(rows) < last || len(rows)%2 != 0 {
					t.Errorf("%d events after %d, %v", len(rows), last, err)
					return
				}
				last = len(rows)
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 100 {
		at := c.add(time.Second)
		mustApply(t, s, visitOf("192.0.2.1", uint16(i+1), at, "a", "1"),
			visitOf("192.0.2.2", uint16(i+1), at, "a", "1"))
	}
	close(done)
	wg.Wait()
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func execSQL(t *testing.T, path, text string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err == nil {
		_, err = db.Exec(text)
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}
