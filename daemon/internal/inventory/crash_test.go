package inventory

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/fault"
	"sonde/probes"
)

// childVariable makes the test binary do one job as a process of its own: the
// job's name, and the state directory in childDir.
const (
	childVariable = "SONDE_INVENTORY_TEST_CHILD"
	childDir      = "SONDE_INVENTORY_TEST_DIR"
)

func runChild(job string) {
	dir := os.Getenv(childDir)
	var err error
	switch job {
	case "write":
		err = writeForever(dir)
	case "open":
		err = openOnce(dir)
	case "read":
		err = readOnce(dir)
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func openOnce(dir string) error {
	s, err := Open(context.Background(), Config{Dir: dir})
	if err != nil {
		return err
	}
	return s.Close()
}

func readOnce(dir string) error {
	r, err := OpenReadOnly(context.Background(), dir)
	if err != nil {
		return err
	}
	seq, err := r.LastSeq(context.Background())
	fmt.Println("last", seq)
	if err == nil {
		err = r.Close()
	}
	return err
}

// writeForever does all that a store can do, again and again, and prints what
// was promised to be durable once it is.
func writeForever(dir string) error {
	ctx := context.Background()
	c := &testClock{at: time.Now()}
	s, err := Open(ctx, Config{Dir: dir, Now: c.now})
	if err != nil {
		return err
	}
	if err := s.Record(ctx, event.Event{Action: event.SensorStarted}); err != nil {
		return err
	}
	fmt.Println("seq", s.seq)
	for round := s.seq; ; round++ {
		visits := make([]Visit, 3)
		for i := range visits {
			addr := fmt.Sprintf("192.0.2.%d", 1+i)
			visits[i] = visitOf(addr, uint16(1+round%65535), c.add(time.Second), "p", fmt.Sprint(round))
		}
		if _, err := s.Apply(ctx, visits); err != nil {
			return err
		}
		fmt.Println("seq", s.seq)
		if err := s.SetCursor(ctx, "json", s.seq); err != nil {
			return err
		}
		fmt.Println("cursor", s.seq)
		pass := lanPass(c.add(time.Second))
		pass.Ports = strconv.FormatInt(1+round%65535, 10)
		if err := s.PassDone(ctx, pass); err != nil {
			return err
		}
		by := Matcher{Database: "d1", Engine: fmt.Sprint(round), Again: func(o *probes.Observation) (probes.Observation, bool) {
			return *o, o.Evidence != nil
		}}
		if _, err := s.Rematch(ctx, by); err != nil {
			return err
		}
		if err := s.Alive(ctx); err != nil {
			return err
		}
		fmt.Println("seq", s.seq)
	}
}

// child starts the test binary on a job.
func child(t *testing.T, job, dir string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"="+job, childDir+"="+dir)
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = os.Stderr
	return cmd
}

// promised is what a child printed before it died.
type promised struct{ seq, cursor int64 }

func (p *promised) read(t *testing.T, out io.Reader, enough func(lines int) bool) {
	t.Helper()
	in := bufio.NewScanner(out)
	for lines := 1; in.Scan(); lines++ {
		what, number, _ := strings.Cut(in.Text(), " ")
		n, err := strconv.ParseInt(number, 10, 64)
		switch {
		case err != nil:
			t.Fatalf("child said %q", in.Text())
		case what == "seq":
			p.seq = n
		case what == "cursor":
			p.cursor = n
		}
		if enough != nil && enough(lines) {
			return
		}
	}
}

// check opens the store that a killed process has left and holds it against
// what was promised.
func (p *promised) check(t *testing.T, dir string) {
	t.Helper()
	r, err := OpenReadOnly(t.Context(), dir) // before anyone has put it in order
	if err != nil {
		t.Fatal(err)
	}
	before := allEvents(t, r)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	s := openStore(t, dir, &testClock{at: time.Now()})
	defer s.Close()
	events := allEvents(t, s.Reader)
	if len(before) != len(events) {
		t.Errorf("a reader saw %d events, the writer %d", len(before), len(events))
	}
	for i, e := range events {
		if e.Seq != int64(i+1) {
			t.Fatalf("event %d has seq %d", i+1, e.Seq)
		}
	}
	if got := int64(len(events)); got < p.seq || got != s.seq {
		t.Errorf("%d events and last seq %d after %d were promised", got, s.seq, p.seq)
	}
	if c, err := s.Cursor(t.Context(), "json"); err != nil || c < p.cursor || c > s.seq {
		t.Errorf("cursor %d after %d was promised, last seq %d (%v)", c, p.cursor, s.seq, err)
	}
	baselines := 0
	for _, e := range events {
		if e.Action == event.ServiceBaseline {
			baselines++
		}
	}
	if known := endpoints(t, s.Reader, Filter{}); len(known) != baselines {
		t.Errorf("%d endpoints, but %d events of their discovery", len(known), baselines)
	}
	var result string
	if err := s.conn.QueryRowContext(t.Context(), "pragma integrity_check").Scan(&result); result != "ok" {
		t.Errorf("integrity check: %s, %v", result, err)
	}
	if s.before.end != endCrash {
		t.Errorf("previous end %q, want crash", s.before.end)
	}
}

func TestKilledAtRandomInstants(t *testing.T) {
	dir := t.TempDir()
	kills := 12
	if testing.Short() {
		kills = 3
	}
	for range kills {
		cmd := child(t, "write", dir)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		var p promised
		after := 1 + rand.IntN(60)
		p.read(t, out, func(lines int) bool { return lines >= after })
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond) // anywhere within a round
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		p.read(t, out, nil)
		_ = cmd.Wait() // it was killed
		p.check(t, dir)
	}
}

func TestKilledAtEachPoint(t *testing.T) {
	if !fault.Enabled {
		t.Skip("built without the tag faultpoints")
	}
	for _, point := range fault.Names() {
		if !strings.HasPrefix(point, "store.") || strings.HasPrefix(point, "store.migrate.") {
			continue // see TestKilledWhileMigrating
		}
		t.Run(point, func(t *testing.T) {
			dir := t.TempDir()
			for _, pass := range []string{":1", ":2"} {
				if strings.HasPrefix(point, "store.record.") {
					pass = "" // a run records once
				}
				cmd := child(t, "write", dir, fault.Variable+"="+point+pass)
				out, err := cmd.StdoutPipe()
				if err == nil {
					err = cmd.Start()
				}
				if err != nil {
					t.Fatal(err)
				}
				var p promised
				p.read(t, out, nil)
				err = cmd.Wait()
				if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != -1 {
					t.Fatalf("the child ended with %v, want a signal", err)
				}
				p.check(t, dir)
			}
		})
	}
}

// TestKilledWhileMigrating: the store of the first schema is whole after a
// death in the middle of each step, and so is its backup; the next start goes on
// and has all that was there.
func TestKilledWhileMigrating(t *testing.T) {
	if !fault.Enabled {
		t.Skip("built without the tag faultpoints")
	}
	for _, point := range fault.Names() {
		if !strings.HasPrefix(point, "store.migrate.") {
			continue
		}
		for pass := 1; pass < schemaVersion; pass++ {
			name := fmt.Sprintf("%s:%d", point, pass)
			t.Run(name, func(t *testing.T) {
				dir, want := unpackFixture(t, 1)
				_, err := child(t, "open", dir, fault.Variable+"="+name).Output()
				if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != -1 {
					t.Fatalf("the child ended with %v, want a signal", err)
				}
				s := openStore(t, dir, newClock())
				if err := checkAll(t.Context(), s.conn); err != nil {
					t.Error(err)
				}
				if got := endpoints(t, s.Reader, Filter{Retired: true}); len(got) != len(want) {
					t.Errorf("%d endpoints, were %d", len(got), len(want))
				}
				if !isFile(backupPath(filepath.Join(dir, FileName), 1)) {
					t.Error("no backup of the first schema")
				}
			})
		}
	}
}
