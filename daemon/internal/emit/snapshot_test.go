package emit

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sonde/daemon/internal/event"
)

func testSnapshot(path string, services iter.Seq2[any, error]) *Snapshot {
	return &Snapshot{Path: path, Every: time.Minute, Sensor: event.Sensor{Name: "probe1"}, Epoch: testEpoch,
		LastSeq:  func(context.Context) (int64, error) { return 7, nil },
		Services: func(context.Context) iter.Seq2[any, error] { return services },
		Now:      time.Now, Log: slog.New(slog.DiscardHandler)}
}

func several(names ...string) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for _, n := range names {
			if !yield(map[string]string{"service": n}, nil) {
				return
			}
		}
	}
}

func TestSnapshotIsOneObject(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inventory.json")
	for _, names := range [][]string{{}, {"ssh"}, {"ssh", "http", corpus["bidi marks"]}} {
		if err := testSnapshot(path, several(names...)).Write(t.Context()); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Schema   string
			Epoch    int64
			Seq      int64
			Count    int
			Services []struct{ Service string }
		}
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		if got.Schema != event.Schema || got.Epoch != testEpoch || got.Seq != 7 ||
			got.Count != len(names) || len(got.Services) != len(names) {
			t.Errorf("%+v of %q", got, names)
		}
		for i, n := range names {
			if got.Services[i].Service != n {
				t.Errorf("service %d is %q, want %q", i, got.Services[i].Service, n)
			}
		}
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

// TestSnapshotStaysWhole: what fails midway leaves the old file, and nothing
// beside it.
func TestSnapshotStaysWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "inventory.json")
	if err := testSnapshot(path, several("ssh")).Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("disk gone")
	err = testSnapshot(path, func(yield func(any, error) bool) {
		_ = yield(map[string]string{}, nil) && yield(nil, broken)
	}).Write(t.Context())
	if !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	after, err := os.ReadFile(path)
	if err != nil || string(after) != string(before) {
		t.Errorf("%v, the file is %q", err, after)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Errorf("left behind: %q", left)
	}
}

func TestSnapshotIsWrittenAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "inventory.json")
		n := 0
		s := testSnapshot(path, func(func(any, error) bool) { n++ })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx, func() {}) }()
		time.Sleep(150 * time.Second)
		cancel()
		if err := <-done; err != nil || n != 3 {
			t.Errorf("written %d times in 150 s, want at 0, 60 and 120; %v", n, err)
		}
	})
}

// TestSnapshotIsBounded: what is too large, or finds no room, leaves the old file
// as it is and nothing beside it.
func TestSnapshotIsBounded(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "inventory.json")
	many := func(yield func(any, error) bool) {
		for range 400_000 {
			if !yield(map[string]string{"service": "a name of some fifty bytes, to have many of them"}, nil) {
				return
			}
		}
	}
	if err := testSnapshot(path, several("ssh")).Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	looks := 0
	for _, tt := range []struct {
		most int64
		room func() error
		want string
	}{
		{1 << 20, nil, "it would take more than 1 MiB"},
		{0, func() error { return errors.New("nothing free") }, "nothing free"},
		{0, func() error {
			if looks++; looks > 1 {
				return errors.New("no more free")
			}
			return nil
		}, "no more free"},
	} {
		s := testSnapshot(path, many)
		s.MaxSize, s.Room = tt.most, tt.room
		if err := s.Write(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %s", err, tt.want)
		}
		is, err := os.ReadFile(path)
		if err != nil || string(is) != string(was) {
			t.Errorf("the old file has become %d bytes, %v", len(is), err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Errorf("left: %v, %v", left, err)
		}
	}
}
