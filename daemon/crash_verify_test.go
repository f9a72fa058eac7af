//go:build faultpoints

package main

import (
	"bytes"
	"compress/gzip"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
)

// An eventLog follows the JSON files of a state directory while they grow and
// rotate. Rotated files are read once.
type eventLog struct {
	dir       string
	read      map[string]bool // rotated files, without .gz
	seen      map[int64]bool
	byAddr    map[netip.Addr][]event.Event
	baselined bool
}

func newEventLog(dir string) *eventLog {
	return &eventLog{dir: dir, read: map[string]bool{}, seen: map[int64]bool{},
		byAddr: map[netip.Addr][]event.Event{}}
}

// refresh reads what is new. A file that is just being rotated comes with the
// next call.
func (l *eventLog) refresh() {
	for _, name := range eventFiles(l.dir) {
		plain := strings.TrimSuffix(name, ".gz")
		current := filepath.Base(plain) == "events.json"
		if l.read[plain] {
			continue
		}
		lines, err := readLines(name)
		if err != nil {
			continue
		}
		l.read[plain] = !current
		for _, line := range lines {
			var e event.Event
			if json.Unmarshal(line, &e) != nil || e.Seq == 0 || l.seen[e.Seq] {
				continue
			}
			l.seen[e.Seq] = true
			l.baselined = l.baselined || e.Action == event.WatchBaselined
			if e.Endpoint != nil && e.Endpoint.Port != 0 { // those of hosts come beside
				l.byAddr[e.Endpoint.Addr] = append(l.byAddr[e.Endpoint.Addr], e)
			}
		}
	}
}

// eventFiles lists the files in the order of their events.
func eventFiles(dir string) []string {
	rotated, _ := filepath.Glob(filepath.Join(dir, "events-*.json*"))
	rotated = slices.DeleteFunc(rotated, func(s string) bool { return strings.HasSuffix(s, ".tmp") })
	slices.Sort(rotated)
	if now := filepath.Join(dir, "events.json"); fileExists(now) {
		rotated = append(rotated, now)
	}
	return rotated
}

func fileExists(name string) bool { _, err := os.Stat(name); return err == nil }

func readLines(name string) ([][]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return nil, err
		}
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")), nil
}

// verify holds the outbox, the JSON files and the truth together.
func (c *campaign) verify() {
	c.checkIntegrity("the end")
	r, err := inventory.OpenReadOnly(c.t.Context(), c.log.dir)
	if err != nil {
		c.t.Fatal(err)
	}
	defer r.Close()
	rows, err := r.Events(c.t.Context(), 0, 1<<20)
	if err != nil {
		c.t.Fatal(err)
	}
	c.events = len(rows)
	outbox := make([]event.Event, len(rows))
	ids := map[string]bool{}
	for i, row := range rows {
		if err := json.Unmarshal(row.JSON, &outbox[i]); err != nil {
			c.t.Errorf("event %d: %v", row.Seq, err)
		}
		e := &outbox[i]
		if want := int64(i + 1); row.Seq != want || e.Seq != want {
			c.t.Fatalf("event %d of the outbox has seq %d and %d: a gap", want, row.Seq, e.Seq)
		}
		if ids[e.ID] || e.ID != event.ID(e.Sensor.UUID, e.Epoch, e.Seq) {
			c.t.Errorf("event %d has id %s, which is wrong or not its own", e.Seq, e.ID)
		}
		ids[e.ID] = true
		if e.Action != event.ServiceBaseline {
			c.wantSyslog++
		}
	}
	c.verifyFiles(rows)
	c.verifyTruth(outbox)
}

// verifyFiles: each event once, in order, byte for byte; and nothing torn that
// was not ended and written again.
func (c *campaign) verifyFiles(rows []inventory.Row) {
	next := 0
	for _, name := range eventFiles(c.log.dir) {
		lines, err := readLines(name)
		if err != nil {
			c.t.Errorf("%s: %v", name, err)
			c.corrupt++
			continue
		}
		header := false
		for i, line := range lines {
			var e struct {
				Seq    int64
				Action string
			}
			switch err := json.Unmarshal(line, &e); {
			case err != nil:
				if !tornOf(line, i, lines, rows, next) {
					c.t.Errorf("%s:%d: torn and not written again: %.80q", name, i+1, line)
					c.corrupt++
				}
			case e.Seq == 0:
				if header || e.Action != "file.header" || len(line) <= 1024 {
					c.t.Errorf("%s:%d: %d bytes of %q, not a header at its place", name, i+1, len(line), e.Action)
					c.corrupt++
				}
				header = true
			case !header:
				c.t.Errorf("%s:%d: an event before the header", name, i+1)
				c.corrupt++
				fallthrough
			default:
				next = c.place(name, i, line, e.Seq, rows, next)
			}
		}
	}
	if missing := len(rows) - next; missing > 0 {
		c.t.Errorf("the last %d events are not in the JSON file", missing)
		c.lost += missing
	}
}

// place checks that the line is the event that comes next, and gives the index
// of the one after it.
func (c *campaign) place(name string, i int, line []byte, seq int64, rows []inventory.Row, next int) int {
	at := int(seq) - 1
	switch {
	case at < next:
		c.t.Errorf("%s:%d: event %d is there again", name, i+1, seq)
		c.doubled++
		return next
	case at >= len(rows):
		c.t.Errorf("%s:%d: event %d is not in the outbox", name, i+1, seq)
		c.corrupt++
		return next
	case at > next:
		c.t.Errorf("%s:%d: events %d to %d are missing before it", name, i+1, next+1, at)
		c.lost += at - next
	}
	if !bytes.Equal(line, rows[at].JSON) {
		c.t.Errorf("%s:%d: event %d differs from the outbox", name, i+1, seq)
		c.corrupt++
	}
	return at + 1
}

// tornOf says whether a line that is not JSON is the beginning of what was
// written again behind it. After a power cut a file system may know that the file
// grew, and not by what: that reads as zeros.
func tornOf(line []byte, i int, lines [][]byte, rows []inventory.Row, next int) bool {
	line = bytes.TrimRight(line, "\x00")
	if bytes.HasPrefix(line, []byte(`{"schema":"sonde/1","action":"file.header"`)) {
		return i == 0 && len(lines) > 1
	}
	return next < len(rows) && bytes.HasPrefix(rows[next].JSON, line) &&
		i+1 < len(lines) && bytes.Equal(lines[i+1], rows[next].JSON)
}

// verifyTruth holds what was told of each service against what it did.
func (c *campaign) verifyTruth(outbox []event.Event) {
	told := map[netip.Addr][]tale{}
	for i := range outbox {
		e := &outbox[i]
		if e.Endpoint == nil || e.Endpoint.Port == 0 {
			continue
		}
		t := tale{action: e.Action, version: e.Endpoint.Version}
		if e.Previous != nil {
			t.previous = e.Previous.Version
		}
		told[e.Endpoint.Addr] = append(told[e.Endpoint.Addr], t)
	}
	for _, a := range c.actors {
		got := told[a.g.at.Addr()]
		if d := cmp.Diff(a.expect, got, cmp.AllowUnexported(tale{})); d != "" {
			c.t.Errorf("%s was told otherwise than it was (-true +told):\n%s", a.g.at, d)
			c.lost += max(0, len(a.expect)-len(got))
			c.doubled += max(0, len(got)-len(a.expect))
		}
	}
}

// checkIntegrity looks at a copy of the store, as a crash has left it.
func (c *campaign) checkIntegrity(when string) {
	source := filepath.Join(c.log.dir, inventory.FileName)
	if !fileExists(source) {
		return // killed before it was made
	}
	tmp, err := os.MkdirTemp(c.dir, "copy-")
	if err != nil {
		c.t.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	for _, suffix := range []string{"", "-wal"} {
		text, err := os.ReadFile(source + suffix)
		if err != nil {
			continue // no log
		}
		if err := os.WriteFile(filepath.Join(tmp, "copy.db"+suffix), text, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", fmt.Sprintf("file:%s", filepath.Join(tmp, "copy.db")))
	if err != nil {
		c.t.Fatal(err)
	}
	defer db.Close()
	var result string
	err = db.QueryRowContext(c.t.Context(), "pragma integrity_check").Scan(&result)
	if err != nil || result != "ok" {
		c.t.Errorf("after %s: integrity_check says %q, %v", when, result, err)
		c.corrupt++
	}
	c.checks++
}
