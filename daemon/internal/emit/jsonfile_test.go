package emit

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sonde/daemon/internal/event"
)

// newJSON opens a sink on dir/events.json and resumes it at the cursor.
func newJSON(t *testing.T, dir string, maxSize int64, cursor int64) (*JSONFile, int64) {
	t.Helper()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s, err := NewJSONFile(JSONFileConfig{
		Path: filepath.Join(dir, "events.json"), MaxSize: maxSize, Keep: 3,
		Sensor: event.Sensor{Name: "test", UUID: "uuid"},
		Now:    func() time.Time { now = now.Add(time.Second); return now },
		Log:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	from, err := s.Resume(testEpoch, cursor)
	if err != nil {
		t.Fatal(err)
	}
	return s, from
}

func deliver(t *testing.T, s *JSONFile, from, to int64) {
	t.Helper()
	var rs []Record
	for seq := from; seq <= to; seq++ {
		rs = append(rs, record(seq, event.ServiceNew))
	}
	if n, err := s.Deliver(t.Context(), rs); err != nil || n != len(rs) {
		t.Fatalf("delivered %d of %d: %v", n, len(rs), err)
	}
}

// seqs reads the sequence numbers of all files of the directory in order of
// their names, rotated ones first, and counts the lines that are no JSON.
func seqs(t *testing.T, dir string) (got []int64, torn int) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "events*"))
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(names, func(a, b string) int { // "events.json" is the newest
		return strings.Compare(strings.Replace(a, "events.json", "events~", 1),
			strings.Replace(b, "events.json", "events~", 1))
	})
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".gz") {
			z, err := gzip.NewReader(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if data, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		sc := bufio.NewScanner(bytes.NewReader(data))
		for sc.Scan() {
			var e event.Event
			if json.Unmarshal(sc.Bytes(), &e) != nil {
				torn++
			} else if e.Seq > 0 {
				got = append(got, e.Seq)
			}
		}
	}
	return got, torn
}

func TestJSONEachEventOnceWhenTheCursorLags(t *testing.T) {
	dir := t.TempDir()
	s, _ := newJSON(t, dir, 1<<20, 0)
	deliver(t, s, 1, 5)
	s.Close() // the cursor was stored at 2 only
	s, from := newJSON(t, dir, 1<<20, 2)
	if from != 5 {
		t.Errorf("resumes at %d, want 5: the file proves it", from)
	}
	deliver(t, s, 4, 7) // a drain that asks for too much does no harm
	if got, torn := seqs(t, dir); fmt.Sprint(got) != "[1 2 3 4 5 6 7]" || torn != 0 {
		t.Errorf("file has %v, %d torn", got, torn)
	}
}

func TestJSONTornLines(t *testing.T) {
	last := append(record(3, event.ServiceNew).JSON, '\n')
	for cut := 1; cut < len(last); cut += 7 {
		dir := t.TempDir()
		s, _ := newJSON(t, dir, 1<<20, 0)
		deliver(t, s, 1, 2)
		s.Close()
		f, err := os.OpenFile(filepath.Join(dir, "events.json"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.Write(last[:cut])
		f.Close()
		s, from := newJSON(t, dir, 1<<20, 2)
		deliver(t, s, from+1, 4)
		got, torn := seqs(t, dir)
		if fmt.Sprint(got) != "[1 2 3 4]" || torn > 1 {
			t.Fatalf("cut at %d: file has %v, %d torn", cut, got, torn)
		}
	}
}

// TestJSONTornLineInAFullFile: the event stands right below its torn line, and
// only the one after it begins a new file.
func TestJSONTornLineInAFullFile(t *testing.T) {
	dir := t.TempDir()
	const most = 2000
	s, _ := newJSON(t, dir, most, 0)
	last := int64(0)
	for line := int64(len(record(1, event.ServiceNew).JSON) + 1); s.size+line <= most; {
		last++
		deliver(t, s, last, last)
	}
	s.Close()
	path := filepath.Join(dir, "events.json")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	again := record(last+1, event.ServiceNew).JSON
	f.Write(again[:len(again)/2])
	f.Close()
	s, from := newJSON(t, dir, most, last)
	deliver(t, s, from+1, from+2)
	names, err := s.rotated()
	if err != nil || len(names) != 1 {
		t.Fatalf("rotated files %q, %v, want one", names, err)
	}
	data, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	want := string(again[:len(again)/2]) + "\n" + string(again) + "\n"
	if !strings.HasSuffix(string(data), want) {
		t.Errorf("the file ends in %q, want %q", data[max(0, len(data)-len(want)):], want)
	}
}

func TestJSONOnlyTheLineEndIsMissing(t *testing.T) {
	dir := t.TempDir()
	s, _ := newJSON(t, dir, 1<<20, 0)
	deliver(t, s, 1, 3)
	s.Close()
	path := filepath.Join(dir, "events.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data[:len(data)-1], 0o640); err != nil {
		t.Fatal(err)
	}
	s, from := newJSON(t, dir, 1<<20, 2)
	if from != 3 {
		t.Errorf("resumes at %d, want 3: the event is whole", from)
	}
	deliver(t, s, from+1, 4)
	if got, torn := seqs(t, dir); fmt.Sprint(got) != "[1 2 3 4]" || torn != 0 {
		t.Errorf("file has %v, %d torn", got, torn)
	}
}

func TestJSONAnotherEpochIsNotOurs(t *testing.T) {
	dir := t.TempDir()
	s, _ := newJSON(t, dir, 1<<20, 0)
	deliver(t, s, 1, 3)
	if from, err := s.Resume(testEpoch+1, 0); err != nil || from != 0 {
		t.Errorf("resumes at %d, %v; want 0 in a new epoch", from, err)
	}
}

func TestJSONRotation(t *testing.T) {
	dir := t.TempDir()
	s, _ := newJSON(t, dir, 2000, 0)
	for seq := int64(1); seq <= 20; seq++ {
		deliver(t, s, seq, seq)
	}
	plain, _ := filepath.Glob(filepath.Join(dir, "events-*.json"))
	packed, _ := filepath.Glob(filepath.Join(dir, "events-*.json.gz"))
	if len(plain) != 1 || len(packed) != 2 {
		t.Errorf("%d plain and %d packed rotated files, want 1 and 2", len(plain), len(packed))
	}
	got, _ := seqs(t, dir)
	for i := range got {
		if i > 0 && got[i] != got[i-1]+1 {
			t.Fatalf("sequence has a gap or a double: %v", got)
		}
	}
	if len(got) == 0 || got[len(got)-1] != 20 {
		t.Fatalf("file has %v", got)
	}
	// A crash between the rename and the first event of the new file.
	s.Close()
	if err := os.Remove(filepath.Join(dir, "events.json")); err != nil {
		t.Fatal(err)
	}
	last, err := lastSeq(plain[0], testEpoch)
	if err != nil {
		t.Fatal(err)
	}
	if _, from := newJSON(t, dir, 2000, 0); from != last {
		t.Errorf("resumes at %d, want %d of the newest rotated file", from, last)
	}
}

func TestJSONHeaderIsLongAndUnique(t *testing.T) {
	first := func(name string) string {
		dir := t.TempDir()
		s, err := NewJSONFile(JSONFileConfig{Path: filepath.Join(dir, "events.json"),
			Sensor: event.Sensor{Name: name, UUID: name}, Now: time.Now,
			Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		data, err := os.ReadFile(filepath.Join(dir, "events.json"))
		if err != nil {
			t.Fatal(err)
		}
		st, _ := os.Stat(filepath.Join(dir, "events.json"))
		if st.Mode().Perm() != 0o640 {
			t.Errorf("mode %v, want 0640", st.Mode())
		}
		return string(data)
	}
	a, b := first("a"), first("b")
	if len(a) <= 1024 || a[:1024] == b[:1024] || !strings.HasSuffix(a, "}\n") {
		t.Errorf("header of %d bytes, must be unique within its first 1,024", len(a))
	}
}

func TestJSONFollowsAMovedFile(t *testing.T) {
	dir := t.TempDir()
	s, _ := newJSON(t, dir, 1<<20, 0)
	deliver(t, s, 1, 2)
	path := filepath.Join(dir, "events.json")
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, 3, 4)
	data, err := os.ReadFile(path)
	if err != nil || lastSeqOf(data, testEpoch) != 4 || bytes.Contains(data, []byte(`"seq":2`)) {
		t.Errorf("new file: %v, %d bytes", err, len(data))
	}
}

func TestJSONFollowsACutFile(t *testing.T) {
	dir := t.TempDir()
	s, _ := newJSON(t, dir, 1<<20, 0)
	path := filepath.Join(dir, "events.json")
	deliver(t, s, 1, 2)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, 3, 4)
	data, err := os.ReadFile(path)
	if err != nil || !bytes.HasPrefix(data, []byte("{")) || bytes.Count(data, []byte("file.header")) != 1 {
		t.Errorf("%v: the file begins with %.40q, want its header", err, data)
	}
	if got, torn := seqs(t, dir); fmt.Sprint(got) != "[3 4]" || torn != 0 {
		t.Errorf("file has %v, %d torn", got, torn)
	}
	if st, err := os.Stat(path); err != nil || s.size != st.Size() {
		t.Errorf("counts %d bytes of %d, %v", s.size, st.Size(), err)
	}
}

func TestJSONRemovedFileAndReopen(t *testing.T) {
	dir := t.TempDir()
	s, _ := newJSON(t, dir, 1<<20, 0)
	path := filepath.Join(dir, "events.json")
	deliver(t, s, 1, 2)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, 3, 4) // to a new file
	if got, torn := seqs(t, dir); fmt.Sprint(got) != "[3 4]" || torn != 0 {
		t.Errorf("file has %v, %d torn", got, torn)
	}
	if err := os.Rename(path, filepath.Join(dir, "events.0")); err != nil {
		t.Fatal(err)
	}
	if err := s.Reopen(); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); err != nil || !bytes.Contains(data, []byte("file.header")) {
		t.Errorf("after Reopen: %v %.60q, want a new file with its header", err, data)
	}
	// A directory that is gone is an error until it is back.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Deliver(t.Context(), records(5, 5)); n != 0 || err == nil {
		t.Errorf("delivered %d without a directory, %v", n, err)
	}
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	deliver(t, s, 5, 6)
	if got, _ := seqs(t, dir); fmt.Sprint(got) != "[5 6]" {
		t.Errorf("file has %v", got)
	}
}

// TestJSONNeverOverItsSize: a file is rotated before a line would make it
// larger, amid a batch too; one that fits nowhere has a file of its own.
func TestJSONNeverOverItsSize(t *testing.T) {
	for _, format := range []Format{Sonde, ECS} {
		dir := t.TempDir()
		const most = 16 << 10
		s, err := NewJSONFile(JSONFileConfig{Path: filepath.Join(dir, "events.json"), Format: format,
			MaxSize: most, Keep: 100, Sensor: event.Sensor{Name: "test"}, Now: time.Now,
			Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Resume(testEpoch, 0); err != nil {
			t.Fatal(err)
		}
		deliver(t, s, 1, 300)
		s.Close()
		names, _ := filepath.Glob(filepath.Join(dir, "events*.json"))
		for _, name := range names {
			if st, err := os.Stat(name); err != nil || st.Size() > most {
				t.Errorf("%s: %s has %d bytes, at most %d", format, name, st.Size(), most)
			}
		}
		packed, _ := filepath.Glob(filepath.Join(dir, "*.gz"))
		if len(names) != 2 || len(packed) < 3 {
			t.Errorf("%s: %d plain and %d packed files", format, len(names), len(packed))
		}
		if last, err := lastSeq(filepath.Join(dir, "events.json"), testEpoch); err != nil || last != 300 {
			t.Errorf("%s: last number is %d, %v", format, last, err)
		}
	}
}

func FuzzLastSeqOf(f *testing.F) {
	f.Add([]byte("{\"epoch\":42,\"seq\":7}\n{\"epo"))
	f.Add([]byte("\n\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, tail []byte) {
		if n := lastSeqOf(tail, testEpoch); n < 0 {
			t.Errorf("negative sequence number %d", n)
		}
		// Whatever stands before it, a whole line at the end decides.
		whole := append(append(slices.Clone(tail), '\n'), record(9, event.ServiceNew).JSON...)
		if n := lastSeqOf(append(whole, '\n'), testEpoch); n != 9 {
			t.Errorf("got %d, want the last line's 9", n)
		}
	})
}

// TestJSONTornHeader: a file whose first line was cut off gets a whole header
// before its first event, at any cut.
func TestJSONTornHeader(t *testing.T) {
	for cut := 1; cut < headerMin; cut += 50 {
		dir := t.TempDir()
		s, _ := newJSON(t, dir, 1<<20, 0)
		s.Close()
		path := filepath.Join(dir, "events.json")
		if err := os.Truncate(path, int64(cut)); err != nil {
			t.Fatal(err)
		}
		s, from := newJSON(t, dir, 1<<20, 0)
		deliver(t, s, from+1, 2)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(data), "\n")
		if len(lines) != 5 || !strings.Contains(lines[1], `"file.header"`) || len(lines[1])+1 < headerMin {
			t.Fatalf("cut at %d: lines %.60q, want a torn one, a header and two events", cut, lines)
		}
	}
}
