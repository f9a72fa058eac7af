package inventory

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sonde/daemon/internal/event"
)

// TestRemovedUnderTheStore: what was committed until the file was found missing is
// in the one that is written anew, whatever was left of the log's name.
func TestRemovedUnderTheStore(t *testing.T) {
	for name, files := range map[string][]string{
		"the file alone": {""}, "with its log": {"", "-wal", "-shm"}, "the directory": nil,
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			dir := filepath.Join(t.TempDir(), "state")
			s := openStore(t, dir, c)
			mustApply(t, s, visitOf("192.0.2.1", 22, c.now(), "OpenSSH", "9.2"))
			if err := s.Ailing(); err != nil {
				t.Fatalf("a store that is well: %v", err)
			}
			var err error
			if files == nil {
				err = os.RemoveAll(dir)
			}
			for _, f := range files {
				err = errors.Join(err, os.Remove(filepath.Join(dir, FileName+f)))
			}
			if err != nil {
				t.Fatal(err)
			}
			mustApply(t, s, visitOf("192.0.2.2", 22, c.now(), "OpenSSH", "9.2")) // not found missing yet
			if err := s.Ailing(); !errors.Is(err, ErrRemoved) {
				t.Fatalf("a store that was removed: %v", err)
			}
			if err := s.Rescue(t.Context()); err != nil {
				t.Fatal(err)
			}
			v := visitOf("192.0.2.3", 22, c.now(), "OpenSSH", "9.2")
			if _, err := s.Apply(t.Context(), []Visit{v}); !errors.Is(err, ErrRemoved) {
				t.Errorf("the old one takes visits: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			epoch := s.Epoch()
			s = openStore(t, dir, c)
			if s.Epoch() != epoch || s.before.end != endCrash {
				t.Errorf("epoch %d, was %d; the run before ended with %s", s.Epoch(), epoch, s.before.end)
			}
			mustApply(t, s, v)
			wantActions(t, s.Reader, "service.baseline", "service.baseline", "service.baseline")
			if err := checkAll(t.Context(), s.conn); err != nil || s.Ailing() != nil {
				t.Errorf("%v, %v", err, s.Ailing())
			}
		})
	}
}

// TestReplacedUnderTheStore: another file is never written over, and its log is
// not taken away when the old store is closed.
func TestReplacedUnderTheStore(t *testing.T) {
	c := newClock()
	dir, other := t.TempDir(), t.TempDir()
	s := openStore(t, dir, c)
	o := openStore(t, other, c)
	mustApply(t, o, visitOf("192.0.2.9", 22, c.now(), "OpenSSH", "9.2"))
	mustApply(t, s, visitOf("192.0.2.1", 22, c.now(), "OpenSSH", "9.2"))
	for _, suffix := range []string{"", "-wal"} { // as a copy of a running one has them
		text, err := os.ReadFile(filepath.Join(other, FileName+suffix))
		if err == nil {
			err = os.Remove(filepath.Join(dir, FileName+suffix))
		}
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, FileName+suffix), string(text))
	}
	if err := s.Ailing(); !errors.Is(err, ErrReplaced) {
		t.Fatalf("got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = openStore(t, dir, c)
	known := endpoints(t, s.Reader, Filter{})
	if len(known) != 1 || known[0].Key.Addr.String() != "192.0.2.9" {
		t.Errorf("known: %v", known)
	}
}

// TestBackupAndRestore: in a new epoch, with an empty outbox, and what was there
// is kept with its log.
func TestBackupAndRestore(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	s := openStore(t, dir, c)
	mustApply(t, s, visitOf("192.0.2.1", 22, c.now(), "OpenSSH", "9.2"))
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := s.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), backup); !errors.Is(err, os.ErrExist) {
		t.Errorf("over another backup: %v", err)
	}
	mustApply(t, s, visitOf("192.0.2.2", 22, c.now(), "OpenSSH", "9.2"))
	if _, err := Restore(t.Context(), dir, backup, c.now()); !errors.Is(err, ErrInUse) {
		t.Errorf("restored under a running one: %v", err)
	}
	epoch, uuid := s.Epoch(), s.Sensor().UUID
	s.Close()
	for name, bad := range map[string]string{"text": strings.Repeat("text", 5000), "empty": ""} {
		file := filepath.Join(t.TempDir(), name)
		writeFile(t, file, bad)
		if _, err := Restore(t.Context(), dir, file, c.now()); !errors.Is(err, ErrCorrupt) {
			t.Errorf("restored %s: %v", name, err)
		}
	}
	kept, err := Restore(t.Context(), dir, backup, c.add(1))
	if err != nil {
		t.Fatal(err)
	}
	if rep, err := Check(t.Context(), kept); err != nil || rep.Endpoints != 2 {
		t.Errorf("kept: %+v, %v", rep, err)
	}
	s = openStore(t, dir, c)
	if s.Epoch() <= epoch || s.Sensor().UUID != uuid || s.before.end != endClean {
		t.Errorf("epoch %d after %d, end %s", s.Epoch(), epoch, s.before.end)
	}
	if err := s.Record(t.Context(), event.Event{Action: event.SensorStarted}); err != nil {
		t.Fatal(err)
	}
	if e := wantActions(t, s.Reader, "sensor.started")[0]; e.Seq != 1 || e.Epoch != s.Epoch() {
		t.Errorf("event %d of epoch %d", e.Seq, e.Epoch)
	}
	if known := endpoints(t, s.Reader, Filter{}); len(known) != 1 {
		t.Errorf("%d endpoints", len(known))
	}
}
