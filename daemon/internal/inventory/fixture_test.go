package inventory

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sonde/daemon/internal/event"
	"sonde/match"
	"sonde/probes"
)

// makeFixture writes the fixture of today's schema: to be done once, when a
// release freezes it. A fixture is made by the real code of its schema and
// never again.
var makeFixture = flag.Bool("make-fixture", false, "write testdata/schemaN.db.gz and schemaN.json")

func TestMakeFixture(t *testing.T) {
	if !*makeFixture {
		t.Skip("only with -make-fixture")
	}
	dir := t.TempDir()
	s := openStore(t, dir, newClock())
	fillFixture(t, s)
	known := endpoints(t, s.Reader, Filter{Retired: true})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(known, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if _, err := z.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join("testdata", fmt.Sprintf("schema%d", schemaVersion))
	writeFile(t, name+".db.gz", packed.String())
	writeFile(t, name+".json", string(text)+"\n")
}

// fillFixture brings endpoints into each state that there is.
func fillFixture(t *testing.T, s *Store) {
	c := newClock()
	step := func(d time.Duration, visits ...Visit) {
		at := c.add(d)
		for i := range visits {
			visits[i].At = at
		}
		mustApply(t, s, visits...)
	}
	at := c.now()
	for i := range 40 { // nothing special, and pages enough to be a tree
		step(0, visitOf(fmt.Sprintf("192.0.2.%d", 100+i), 22, at, "OpenSSH", fmt.Sprintf("9.%d", i)))
	}
	pool := visitOf("192.0.2.1", 80, at, "nginx", "1.24")
	step(0, pool, visitOf("192.0.2.2", 22, at, "OpenSSH", "9.2"), visitOf("192.0.2.3", 22, at, "OpenSSH", "9.2"),
		visitOf("192.0.2.4", 22, at, "OpenSSH", "9.2"), visitOf("2001:db8::1", 443, at, "nginx", "1.24"))
	pass := lanPass(c.now())
	if err := s.PassDone(t.Context(), pass); err != nil {
		t.Fatal(err)
	}
	member := visitOf("192.0.2.1", 80, at, "nginx", "1.26")
	for range 4 { // a pool of two, told as changed
		step(time.Minute, member, refusal(visitOf("192.0.2.3", 22, at, "", ""), c.now()))
	}
	for range 3 { // gone
		step(5*time.Minute, refusal(visitOf("192.0.2.3", 22, at, "", ""), c.now()))
	}
	step(time.Minute, visitOf("192.0.2.5", 22, at, "Dropbear", "2022")) // a candidate
	step(time.Second, visitOf("192.0.2.2", 22, at, "Dropbear", "2024")) // a change under way
	tls := visitOf("2001:db8::1", 443, at, "nginx", "1.24")
	tls.Observation.Tunnel = probes.TLS
	tls.Observation.TLS = []probes.TLSFacts{{Version: "TLS 1.3", Certificate: &probes.Certificate{
		Subject: "CN=x", SHA256: "ab", NotAfter: day1.AddDate(1, 0, 0)}}}
	step(time.Second, tls)
	unknown := visitOf("192.0.2.6", 4711, at, "", "")
	unknown.Observation = probes.Observation{State: probes.Open, Outcome: probes.OutcomeAnswered,
		Strength: probes.Unmatched, Database: "d1", Fingerprint: `SF-Port4711-TCP:V=Sonde%r(NULL,2,"hi");`,
		Identity: match.Identity{Info: "odd"}, Evidence: &probes.Evidence{Answer: probes.Bytes{0, 255, '\n'}}}
	step(time.Second, unknown)
	old := visitOf("192.0.2.7", 22, at, "OpenSSH", "8.0")
	old.Watch = "removed"
	step(time.Second, old)
	if err := s.RetireWatch(t.Context(), "removed"); err != nil {
		t.Fatal(err)
	}
	if err := s.Record(t.Context(), event.Event{Action: event.SensorHeartbeat, Message: "alive"}); err != nil {
		t.Fatal(err)
	}
	for sink, seq := range map[string]int64{"json": s.seq, "syslog": 3} {
		if err := s.SetCursor(t.Context(), sink, seq); err != nil {
			t.Fatal(err)
		}
	}
}

// unpackFixture gives a state directory with the store as a schema's own code
// left it, and what that code read from it.
func unpackFixture(t *testing.T, schema int) (dir string, want []Endpoint) {
	t.Helper()
	name := filepath.Join("testdata", fmt.Sprintf("schema%d", schema))
	f, err := os.Open(name + ".db.gz")
	if err != nil {
		t.Fatalf("every schema before today's needs a fixture: %v", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	writeFile(t, filepath.Join(dir, FileName), string(raw))
	text, err := os.ReadFile(name + ".json")
	if err == nil {
		err = json.Unmarshal(text, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, want
}

// TestEachSchemaIsReadAndMigrated takes the stores of all older schemas: read
// as they are, opened and thus migrated, and their backups.
func TestEachSchemaIsReadAndMigrated(t *testing.T) {
	for schema := 1; schema < schemaVersion; schema++ {
		t.Run(fmt.Sprintf("schema %d", schema), func(t *testing.T) {
			dir, want := unpackFixture(t, schema)
			path := filepath.Join(dir, FileName)
			check := func(when string, r *Reader) {
				t.Helper()
				// The texts have the hash of the database in a column of its own.
				got := endpoints(t, r, Filter{Retired: true})
				if d := cmp.Diff(want, got, sameAddr, cmpopts.EquateEmpty(),
					cmpopts.IgnoreFields(probes.Observation{}, "Database")); d != "" {
					t.Errorf("%s (-then +now):\n%s", when, d)
				}
				if seq, err := r.LastSeq(t.Context()); err != nil || len(allEvents(t, r)) != int(seq) || seq == 0 {
					t.Errorf("%s: last seq %d, %v, and %d events", when, seq, err, len(allEvents(t, r)))
				}
			}
			r, err := OpenReadOnly(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			check("read as it is", r)
			r.Close()
			s := openStore(t, dir, newClock())
			check("migrated", s.Reader)
			if d := cmp.Diff(newTables(t), tablesOf(t, s)); d != "" {
				t.Errorf("a migrated store is not made as a new one (-new +migrated):\n%s", d)
			}
			if err := checkAll(t.Context(), s.conn); err != nil {
				t.Error(err)
			}
			s.Close()
			back := t.TempDir()
			data, err := os.ReadFile(backupPath(path, schema))
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(back, FileName), string(data))
			if r, err = OpenReadOnly(t.Context(), back); err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if r.schema != schema {
				t.Errorf("the backup has schema %d", r.schema)
			}
			check("the backup", r)
		})
	}
}

// tablesOf lists every column of every table, and every index.
func tablesOf(t *testing.T, s *Store) (all []string) {
	t.Helper()
	rows, err := s.conn.QueryContext(t.Context(), `select m.type, m.name, coalesce(c.name, ''), coalesce(c.type, ''),
		coalesce(c."notnull", 0) from sqlite_schema m left join pragma_table_info(m.name) c order by 1, 2, 3`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var kind, name, column, of string
		var notNull int
		if err := rows.Scan(&kind, &name, &column, &of, &notNull); err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(kind, " ", name, " ", column, " ", of, " ", notNull))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func newTables(t *testing.T) []string {
	t.Helper()
	return tablesOf(t, openStore(t, t.TempDir(), newClock()))
}
