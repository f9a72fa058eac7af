package sent

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"sonde/daemon/internal/sqlfile"
	"sonde/probes"
	"sonde/probes/visitor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	target = netip.MustParseAddr("198.18.1.3")
	noon   = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
)

// A kept is a log with a clock of the test's own.
type kept struct {
	*Log
	now  time.Time
	path string
}

func open(t *testing.T, path string, maxSize int64) *kept {
	t.Helper()
	k := &kept{now: noon, path: path}
	k.reopen(t, maxSize)
	return k
}

func (k *kept) reopen(t *testing.T, maxSize int64) {
	t.Helper()
	l, err := Open(t.Context(), Config{Path: k.path, MaxSize: maxSize, KeepFor: 30 * 24 * time.Hour,
		Now: func() time.Time { return k.now }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	k.Log = l
	t.Cleanup(func() { l.db.Close() })
}

func (k *kept) find(t *testing.T, a netip.Addr) Answer {
	t.Helper()
	got, err := Find(t.Context(), k.path, Query{Addr: a, Since: noon.Add(-time.Hour), Until: k.now.Add(time.Hour), Most: 100})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// contact is one that took two seconds and ended now.
func (k *kept) contact(a netip.Addr, source uint16, end error, said ...string) visitor.Contact {
	return visitor.Contact{Begun: k.now.Add(-2 * time.Second), Ended: k.now, Transport: probes.TCP,
		Local: netip.AddrPortFrom(netip.MustParseAddr("198.18.1.1"), source), Remote: netip.AddrPortFrom(a, 22),
		Said: said, End: end}
}

// TestFind: what was told of is found, by its address and nobody else's, while
// the log is written to and when it is at rest.
func TestFind(t *testing.T) {
	k := open(t, filepath.Join(t.TempDir(), "sent.db"), 16<<20)
	v6 := netip.MustParseAddr("2001:db8::7")
	k.Contact(k.contact(target, 40001, nil, "GetRequest", "goodbye"))
	k.Contact(k.contact(target.Next(), 40002, nil))
	k.Contact(k.contact(target, 40003, syscall.ECONNREFUSED))
	k.Contact(visitor.Contact{Begun: k.now, Ended: k.now, Transport: probes.UDP, Remote: netip.AddrPortFrom(v6, 123),
		Local: netip.AddrPortFrom(netip.IPv6Unspecified(), 40004), Said: []string{"NTPRequest"}})
	in := k.Begin(Sweep{Method: "syn", Transport: "tcp", Addrs: "198.18.1.0-198.18.1.255 2001:db8::-2001:db8::ff",
		Ports: "22,80", Sources: "33000-33999"})
	k.Begin(Sweep{Method: "connect", Transport: "tcp", Addrs: "198.18.2.0-198.18.2.255", Ports: "22"})
	k.now = k.now.Add(time.Second)
	k.End(in, Ended{Targets: 512, Tries: 900, Why: "cut short"})
	k.flush(t.Context())

	at := noon.Local()
	ended := at.Add(time.Second)
	want := Answer{Addr: target, Since: noon.Add(-time.Hour), Until: k.now.Add(time.Hour),
		Contacts: []Contact{
			{Begun: at.Add(-2 * time.Second), Ended: at, Transport: "tcp", From: netip.MustParseAddr("198.18.1.1"),
				Source: 40001, Port: 22, Said: []string{"GetRequest", "goodbye"}},
			{Begun: at.Add(-2 * time.Second), Ended: at, Transport: "tcp", From: netip.MustParseAddr("198.18.1.1"),
				Source: 40003, Port: 22, Why: syscall.ECONNREFUSED.Error()},
		},
		Sweeps: []Swept{{Begun: at, Ended: &ended, Method: "syn", Transport: "tcp", Ports: "22,80",
			Sources: "33000-33999", Targets: 512, Tries: 900, Why: "cut short"}},
		Kept: []Span{{From: at, To: ended}}}
	same := cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.EquateEmpty(),
		cmpopts.SortSlices(func(a, b Contact) bool { return a.Source < b.Source })}
	for _, state := range []string{"while it is written to", "at rest"} {
		if diff := cmp.Diff(want, k.find(t, target), same); diff != "" {
			t.Errorf("%s (-want +got)\n%s", state, diff)
		}
		if got := k.find(t, v6); len(got.Contacts) != 1 || got.Contacts[0].From.IsValid() || len(got.Sweeps) != 1 {
			t.Errorf("%s: of %v found %+v", state, v6, got)
		}
		if err := k.Close(); state != "at rest" && err != nil {
			t.Fatal(err)
		}
	}
	if got := k.find(t, netip.MustParseAddr("203.0.113.1")); len(got.Contacts)+len(got.Sweeps) != 0 || len(got.Kept) != 1 {
		t.Errorf("of a stranger found %+v", got)
	}
}

// TestKilled: a process that ended without notice is told of.
func TestKilled(t *testing.T) {
	k := open(t, filepath.Join(t.TempDir(), "sent.db"), 16<<20)
	k.Contact(k.contact(target, 1, nil))
	k.flush(t.Context())
	if got := k.find(t, target); len(got.Kept) != 1 || got.Kept[0].Killed {
		t.Errorf("while it runs: kept %+v", got.Kept)
	}
	k.db.Close() // as a kill does it
	k.now = k.now.Add(time.Minute)
	k.reopen(t, 16<<20)
	got := k.find(t, target)
	if len(got.Kept) != 2 || !got.Kept[0].Killed || got.Kept[1].Killed || len(got.Contacts) != 1 {
		t.Errorf("kept %+v, %d contacts", got.Kept, len(got.Contacts))
	}
}

// TestBounds: the file stays within its bound, the oldest leaves first, and an
// answer tells that it did.
func TestBounds(t *testing.T) {
	const bound = 1 << 20
	k := open(t, filepath.Join(t.TempDir(), "sent.db"), bound)
	for range 40 {
		for i := range 1000 {
			k.Contact(k.contact(target, uint16(i), nil, "GetRequest", "HTTPOptions"))
		}
		k.now = k.now.Add(time.Second)
		k.flush(t.Context())
		if fi, err := os.Stat(k.path); err != nil || fi.Size() > bound {
			t.Fatalf("%d bytes, bound to %d (%v)", fi.Size(), bound, err)
		}
	}
	got := k.find(t, target)
	if len(got.Contacts) != 100 || !got.More || got.Pruned == nil || len(got.Lost) != 0 {
		t.Errorf("%d contacts, more %v, pruned %v, lost %v", len(got.Contacts), got.More, got.Pruned, got.Lost)
	}
	if newest := got.Contacts[99]; !newest.Ended.Equal(k.now.Add(-time.Second)) {
		t.Errorf("the newest ended at %v", newest.Ended)
	}
	var oldest int64
	if err := k.db.QueryRow("select min(ended) from contacts").Scan(&oldest); err != nil || time.UnixMicro(oldest).Before(*got.Pruned) {
		t.Errorf("there is one of %v, though all up to %v are gone (%v)", time.UnixMicro(oldest), got.Pruned, err)
	}
}

// TestAge: what is older than is kept leaves.
func TestAge(t *testing.T) {
	k := open(t, filepath.Join(t.TempDir(), "sent.db"), 16<<20)
	k.Contact(k.contact(target, 1, nil))
	k.End(k.Begin(Sweep{Method: "syn", Addrs: target.String()}), Ended{})
	k.flush(t.Context())
	k.now = k.now.Add(31 * 24 * time.Hour)
	k.Contact(k.contact(target, 2, nil))
	k.flush(t.Context())
	got := k.find(t, target)
	if len(got.Contacts) != 1 || got.Contacts[0].Source != 2 || len(got.Sweeps) != 0 || got.Pruned == nil {
		t.Errorf("found %+v", got)
	}
}

// TestTooMany: what finds no room while it waits is counted.
func TestTooMany(t *testing.T) {
	k := open(t, filepath.Join(t.TempDir(), "sent.db"), 64<<20)
	for range maxWaiting + 7 {
		k.Contact(k.contact(target, 1, nil))
	}
	k.flush(t.Context())
	if got := k.find(t, target); len(got.Lost) != 1 || got.Lost[0].N != 7 {
		t.Errorf("lost %+v", got.Lost)
	}
}

// TestDamaged: a file that is no log, damaged, or removed while it is written
// to, is begun anew, and an answer tells so.
func TestDamaged(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, path string){
		"text": func(t *testing.T, path string) {
			put(t, path, []byte("no database at all, but long enough to be looked at"))
		},
		"newer":     func(t *testing.T, path string) { execute(t, path, "create table x (a)", "pragma user_version = 9") },
		"cut short": func(t *testing.T, path string) { cut(t, path) },
	} {
		t.Run(name, func(t *testing.T) {
			k := open(t, filepath.Join(t.TempDir(), "sent.db"), 16<<20)
			if err := k.Close(); err != nil {
				t.Fatal(err)
			}
			harm(t, k.path)
			k.reopen(t, 16<<20)
			k.Contact(k.contact(target, 1, nil))
			k.flush(t.Context())
			if got := k.find(t, target); len(got.Contacts) != 1 || len(got.Lost) != 1 {
				t.Errorf("found %+v", got)
			}
		})
	}
	t.Run("removed", func(t *testing.T) {
		k := open(t, filepath.Join(t.TempDir(), "sent.db"), 16<<20)
		for _, end := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(k.path + end); err != nil {
				t.Fatal(err)
			}
		}
		k.flush(t.Context())
		k.Contact(k.contact(target, 1, nil))
		k.flush(t.Context())
		if got := k.find(t, target); len(got.Contacts) != 1 || len(got.Lost) != 1 {
			t.Errorf("found %+v", got)
		}
	})
}

// TestNoPlace: while no log can be opened, what is told of is counted, and once
// one can, it goes on.
func TestNoPlace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	k := open(t, filepath.Join(dir, "sent.db"), 16<<20)
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		k.Contact(k.contact(target, 1, nil))
		k.flush(t.Context())
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	k.flush(t.Context()) // opens
	k.Contact(k.contact(target, 2, nil))
	k.flush(t.Context())
	got := k.find(t, target)
	if len(got.Contacts) != 1 || got.Contacts[0].Source != 2 || len(got.Lost) == 0 {
		t.Errorf("found %+v", got)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func cut(t *testing.T, path string) {
	t.Helper()
	if err := os.Truncate(path, pageSize); err != nil {
		t.Fatal(err)
	}
}

func execute(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", sqlfile.DSN(path, "rw"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNotThere names the remedy.
func TestNotThere(t *testing.T) {
	_, err := Find(t.Context(), filepath.Join(t.TempDir(), "sent.db"), Query{Addr: target, Most: 1})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// TestUnwritable: a log that cannot be opened is an error, not an empty one.
func TestUnwritable(t *testing.T) {
	_, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "no", "sent.db"), MaxSize: 1 << 20, Now: time.Now,
		Log: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// TestRun: the task writes by itself, and ends with its context.
func TestRun(t *testing.T) {
	k := open(t, filepath.Join(t.TempDir(), "sent.db"), 16<<20)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx, func() {}) }()
	k.Contact(k.contact(target, 1, nil))
	for len(k.find(t, target).Contacts) == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
}

func TestContainsAddr(t *testing.T) {
	const ranges = "192.0.2.0-192.0.2.9 198.51.100.7 fe80::1%eth0-fe80::9%eth0 broken 192.0.2.9-192.0.2.x"
	for addr, want := range map[string]bool{
		"192.0.2.0": true, "192.0.2.9": true, "192.0.2.10": false, "198.51.100.7": true, "198.51.100.8": false,
		"::ffff:192.0.2.1": true, "fe80::5": true, "fe80::5%eth1": true, "::1": false,
	} {
		if got := ContainsAddr(ranges, netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
}

func FuzzContainsAddr(f *testing.F) {
	f.Add("192.0.2.0-192.0.2.9 198.51.100.7", "192.0.2.3")
	f.Add("fe80::1%eth0-fe80::9", "fe80::5%1")
	f.Fuzz(func(t *testing.T, ranges, addr string) {
		a, err := netip.ParseAddr(addr)
		if err != nil {
			return
		}
		if whole := fmt.Sprint(a.Unmap().WithZone("")); !ContainsAddr(whole, a) {
			t.Errorf("%s does not hold itself", a)
		}
		ContainsAddr(ranges, a)
	})
}

func BenchmarkFlush(b *testing.B) {
	l, err := Open(b.Context(), Config{Path: filepath.Join(b.TempDir(), "sent.db"), MaxSize: 1 << 30, KeepFor: time.Hour,
		Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	c := (&kept{now: time.Now()}).contact(target, 1, nil, "GetRequest")
	for b.Loop() {
		for range 1000 {
			l.Contact(c)
		}
		l.flush(b.Context())
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "µs/contact")
}

// TestSchemaBefore: a log of the schema before is gone on with, and what is in it
// stays.
func TestSchemaBefore(t *testing.T) {
	k := open(t, filepath.Join(t.TempDir(), "sent.db"), 16<<20)
	k.Contact(k.contact(target, 1, nil))
	k.Begin(Sweep{Method: "syn", Transport: "tcp", Addrs: target.String(), Ports: "22"})
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, k.path, "alter table contacts drop column interface", "alter table sweeps drop column interface",
		"pragma user_version = 1")
	k.now = k.now.Add(time.Minute)
	k.reopen(t, 16<<20)
	bound := k.contact(target, 2, nil)
	bound.Interface = "eth1"
	k.Contact(bound)
	k.Begin(Sweep{Method: "syn", Transport: "tcp", Addrs: target.String(), Ports: "22", Interface: "eth2"})
	k.flush(t.Context())
	got := k.find(t, target)
	var by []string
	for _, c := range got.Contacts {
		by = append(by, c.Interface)
	}
	for _, s := range got.Sweeps {
		by = append(by, s.Interface)
	}
	if want := []string{"", "eth1", "", "eth2"}; !slices.Equal(by, want) || len(got.Lost) > 0 {
		t.Errorf("by %q, lost %+v, want %q", by, got.Lost, want)
	}
}
