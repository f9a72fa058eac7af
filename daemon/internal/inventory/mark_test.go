package inventory

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/daemon/internal/event"
	"sonde/match"
	"sonde/probes"
)

var sameAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

const (
	markA     = `SF-Port47-TCP:V=Sonde-1%I=7%D=1/1%Time=1%P=p%r(NULL,2,"hi")%r(Help,2,"no");`
	markLater = `SF-Port47-TCP:V=Sonde-2%I=7%D=2/2%Time=2%P=p%r(NULL,2,"hi")%r(Help,2,"no");`
	markOther = `SF-Port47-TCP:V=Sonde-2%I=7%D=2/2%Time=2%P=p%r(NULL,3,"hey")%r(Help,2,"no");`
	markLess  = `SF-Port47-TCP:V=Sonde-2%I=7%D=2/2%Time=2%P=p%r(NULL,3,"hey");`
	markMore  = `SF-Port47-TCP:V=Sonde-2%I=7%D=2/2%Time=2%P=p%r(NULL,2,"hi")%r(Help,2,"no")%r(X,1,"y");`
)

func unknownAt(at time.Time, mark string) Visit {
	v := visitOf("192.0.2.1", 47, at, "", "")
	v.Observation = probes.Observation{State: probes.Open, Reason: "syn-ack", Fingerprint: mark,
		Outcome: probes.OutcomeAnswered, Strength: probes.Unmatched, Database: "d1"}
	return v
}

func TestFuller(t *testing.T) {
	for _, c := range []struct{ name, known, seen, want string }{
		{"the first", "", markA, markA},
		{"none this time", markA, "", markA},
		{"another time only", markA, markLater, markA},
		{"another answer", markA, markOther, markOther},
		{"fewer answers", markA, markLess, markA},
		{"more answers", markA, markMore, markMore},
	} {
		if got := fuller(c.known, c.seen); got != c.want {
			t.Errorf("%s: kept %s", c.name, got)
		}
	}
}

// TestFingerprintIsKeptAndNotTold: it is there after a restart, no event has
// it, a change of it alone is none, and an identity ends it.
func TestFingerprintIsKeptAndNotTold(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	s := openStore(t, dir, c)
	long := `SF-Port47-TCP:V=Sonde%r(A,384,"` + strings.Repeat(`\x00`, 900) + `")%r(B,1,"x")%r(C,1,"x");`
	for _, step := range []struct{ seen, kept string }{
		{markA, markA}, {markLater, markA}, {markOther, markOther}, {"", markOther}, {markLess, markOther},
		{long, long},
	} {
		mustApply(t, s, unknownAt(c.add(time.Hour), step.seen))
		if got := endpoints(t, s.Reader, Filter{})[0].Current.Fingerprint; got != step.kept {
			t.Fatalf("after %q: kept %q", step.seen, got)
		}
	}
	if brief := endpoints(t, s.Reader, Filter{Brief: true})[0].Current.Fingerprint; brief != "" {
		t.Errorf("the brief form has %q", brief)
	}
	s.Close()
	s = openStore(t, dir, c)
	if got := endpoints(t, s.Reader, Filter{})[0].Current.Fingerprint; got != long {
		t.Errorf("after a restart: %q", got)
	}
	for range 5 { // something is recognised there: confirmed, then told
		v := visitOf("192.0.2.1", 47, c.add(time.Hour), "OpenSSH", "9.2")
		mustApply(t, s, v)
	}
	e := endpoints(t, s.Reader, Filter{})[0]
	if e.Current.Product != "OpenSSH" || e.Current.Fingerprint != "" {
		t.Errorf("known as %+v with the fingerprint %q", e.Current.Identity, e.Current.Fingerprint)
	}
	wantActions(t, s.Reader, "service.baseline", "service.reclassified")
	rows, err := s.Events(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if strings.Contains(string(r.JSON), "SF-Port") {
			t.Errorf("event %d has a fingerprint: %s", r.Seq, r.JSON)
		}
	}
}

// TestFingerprintOfWhatAppears: what is confirmed before it is told keeps the
// fingerprint of the visit that concluded, and none while it is pending.
func TestFingerprintOfWhatAppears(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	pass := lanPass(c.add(time.Hour))
	pass.Ports = "1-100"
	if err := s.PassDone(t.Context(), pass); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		mustApply(t, s, unknownAt(c.add(time.Hour), markA))
	}
	wantActions(t, s.Reader, "watch.baselined", "host.new", "service.new")
	if got := endpoints(t, s.Reader, Filter{})[0].Current.Fingerprint; got != markA {
		t.Errorf("kept %q", got)
	}
}

// TestHostEventsAreClean: what a sensor records of a host holds neither secrets
// nor control characters.
func TestHostEventsAreClean(t *testing.T) {
	s := openStore(t, t.TempDir(), newClock())
	o := unknownAt(day1, markA).Observation
	o.Identity = match.Identity{Info: "a\x1b[31mb"}
	o.Evidence = &probes.Evidence{Answer: probes.Bytes("Set-Cookie: id=secret")}
	if err := s.Record(t.Context(), event.Event{Action: event.HostDistress, Endpoint: &o}); err != nil {
		t.Fatal(err)
	}
	got := allEvents(t, s.Reader)[0].Endpoint
	if got.Fingerprint != "" || got.Evidence != nil || got.Info != "a.[31mb" {
		t.Errorf("told %+v", got)
	}
}

// TestBackupBeforeAMigration: it is whole, ours alone to read, and made once.
func TestBackupBeforeAMigration(t *testing.T) {
	dir, _ := unpackFixture(t, 1)
	path := filepath.Join(dir, FileName)
	writeFile(t, backupPath(path, 1)+".part", "what a crash left")
	s := openStore(t, dir, newClock())
	mustApply(t, s, unknownAt(day1.Add(1000*time.Hour), markA))
	s.Close()
	fi, err := os.Stat(backupPath(path, 1))
	if err != nil || fi.Mode().Perm()&0o007 != 0 {
		t.Errorf("the backup's mode: %v, %v", fi.Mode(), err)
	}
	if _, err := os.Stat(backupPath(path, 1) + ".part"); err == nil {
		t.Error("a part of a backup is left")
	}
	openStore(t, dir, newClock()).Close()
	again, err := os.Stat(backupPath(path, 1))
	if err != nil || !os.SameFile(fi, again) {
		t.Errorf("the backup was made anew: %v", err)
	}
}

// TestGoingBackNamesTheBackup: the older program says where its store is.
func TestGoingBackNamesTheBackup(t *testing.T) {
	dir := t.TempDir()
	openStore(t, dir, newClock()).Close()
	path := filepath.Join(dir, FileName)
	execSQL(t, path, "pragma user_version = 99")
	writeFile(t, backupPath(path, schemaVersion), "as it was")
	_, err := Open(t.Context(), Config{Dir: dir})
	wantOpenError(t, err, ErrNewerSchema, backupPath(path, schemaVersion))
}

// TestNoRoomForABackup: without it nothing is migrated, and the old store stays
// what it was.
func TestNoRoomForABackup(t *testing.T) {
	dir, want := unpackFixture(t, 1)
	path := filepath.Join(dir, FileName)
	if err := os.MkdirAll(filepath.Join(backupPath(path, 1), "in the way"), 0o750); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "back up schema 1") {
		t.Fatalf("opened with %v", err)
	}
	r, err := OpenReadOnly(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.schema != 1 || len(endpoints(t, r, Filter{Retired: true})) != len(want) {
		t.Errorf("the old store is of schema %d now", r.schema)
	}
}
