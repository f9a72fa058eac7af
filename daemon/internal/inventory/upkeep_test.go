package inventory

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/daemon/internal/event"
)

func TestCursorsAndTrimming(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	wake := s.Wake()
	for range 5 {
		if err := s.Record(t.Context(), event.Event{Action: event.SensorHeartbeat}); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-wake:
	default:
		t.Error("nobody was told of the events")
	}
	if seq, err := s.Cursor(t.Context(), "json"); seq != 0 || err != nil {
		t.Errorf("cursor of an unknown sink: %d, %v", seq, err)
	}
	for sink, seq := range map[string]int64{"json": 4, "syslog": 2} {
		if err := s.SetCursor(t.Context(), sink, seq); err != nil {
			t.Fatal(err)
		}
	}
	c.add(DefaultRetention().EventsFor + time.Hour)
	remaining := func(want ...int64) {
		t.Helper()
		if err := s.Alive(t.Context()); err != nil {
			t.Fatal(err)
		}
		rows, err := s.Events(t.Context(), 0, 10)
		var got []int64
		for _, r := range rows {
			got = append(got, r.Seq)
		}
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("kept %v, want %v (%v)", got, want, err)
		}
	}
	remaining(3, 4, 5)
	if err := s.DropCursor(t.Context(), "syslog"); err != nil {
		t.Fatal(err)
	}
	remaining(5)
	if err := s.SetCursor(t.Context(), "json", 5); err != nil {
		t.Fatal(err)
	}
	remaining()
	if err := s.Record(t.Context(), event.Event{Action: event.SensorHeartbeat}); err != nil {
		t.Fatal(err)
	}
	if seq, err := s.LastSeq(t.Context()); seq != 6 || err != nil {
		t.Errorf("last seq %d, want 6: an emptied outbox must not restart it (%v)", seq, err)
	}
	if all, err := s.Cursors(t.Context()); err != nil || !cmp.Equal(all, map[string]int64{"json": 5}) {
		t.Errorf("cursors %v, %v", all, err)
	}
}

func TestSchemaIsAsPromised(t *testing.T) {
	s := openStore(t, t.TempDir(), newClock())
	for name, want := range map[string]int{"auto_vacuum": 2, "synchronous": 2, "foreign_keys": 1,
		"user_version": schemaVersion, "application_id": applicationID} {
		if got, err := pragmaInt(t.Context(), s.conn, name); got != want || err != nil {
			t.Errorf("%s is %d, want %d (%v)", name, got, want, err)
		}
	}
	var mode string
	if err := s.conn.QueryRowContext(t.Context(), "pragma journal_mode").Scan(&mode); mode != "wal" {
		t.Errorf("journal mode %s, %v", mode, err)
	}
}

func TestFreedPagesAreGivenBack(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	long := event.Event{Action: event.SensorHeartbeat, Message: strings.Repeat("x", maxMessage)}
	for range 200 {
		if err := s.Record(t.Context(), long); err != nil {
			t.Fatal(err)
		}
	}
	before, _ := pragmaInt(t.Context(), s.conn, "page_count")
	c.add(DefaultRetention().EventsFor + time.Hour)
	if err := s.Alive(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, _ := pragmaInt(t.Context(), s.conn, "page_count")
	if after > before-20 {
		t.Errorf("%d pages before, %d after the events left", before, after)
	}
}

func TestFileModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a?b#c d", "state")
	s := openStore(t, dir, newClock())
	defer s.Close()
	for _, name := range []string{FileName, FileName + "-wal", lockName} {
		fi, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm()&0o007 != 0 {
			t.Errorf("%s has mode %s: others may read it", name, fi.Mode())
		}
	}
}
