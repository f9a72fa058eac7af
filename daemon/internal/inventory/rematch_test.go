package inventory

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/daemon/internal/event"
	"sonde/match"
	"sonde/probes"
	"sonde/probes/fingerprint"
	"sonde/probes/session"
)

// matcherOf is a database that says of an answer what lines says of it: the
// rule's id and the identity. An answer that it lacks is explained by nothing.
func matcherOf(database, engine string, lines map[string]string) Matcher {
	return Matcher{Database: database, Engine: engine,
		Again: func(was *probes.Observation) (probes.Observation, bool) {
			if was.Evidence == nil || was.Evidence.Truncated {
				return probes.Observation{}, false
			}
			o := *was
			e := *was.Evidence
			o.Identity, o.Strength, o.Rule, o.Probe, o.Database = match.Identity{}, probes.Unmatched, "", "", database
			e.Database, e.Rule = database, ""
			if line, ok := lines[strings.TrimSpace(string(e.Answer))]; ok {
				f := strings.Split(line, " ")
				e.Rule, o.Rule, o.Probe, o.Strength = f[0], f[0]+":1", "NULL", probes.Hard
				o.Identity = match.Identity{Service: f[1], Product: f[2], Version: f[3]}
			}
			o.Evidence = &e
			return o, true
		}}
}

// rematchOne has a visit of today judged by another database, and gives the
// events behind its baseline.
func rematchOne(t *testing.T, v Visit, by Matcher) (*Store, []event.Event, Rematched) {
	t.Helper()
	s := openStore(t, t.TempDir(), newClock())
	mustApply(t, s, v)
	done, err := s.Rematch(t.Context(), by)
	if err != nil {
		t.Fatal(err)
	}
	return s, allEvents(t, s.Reader)[1:], done
}

func plainVisit() Visit {
	v := visitOf("192.0.2.1", 22, day1, "OpenSSH", "9.2")
	v.Observation.CPE = nil
	v.Observation.Evidence.Rule = "ssh.a"
	return v
}

const plainAnswer = "SSH-2.0-OpenSSH_9.2"

func TestRematch(t *testing.T) {
	for _, c := range []struct {
		name, database, line string
		change               func(*Visit)
		cause                event.Cause // "": nothing is told
		changed              string
		product, version     string // afterwards
		unable               int
	}{
		{name: "the same line", database: "d2", line: "ssh.a ssh OpenSSH 9.2", product: "OpenSSH", version: "9.2"},
		{name: "another line says the same", database: "d2", line: "ssh.b ssh OpenSSH 9.2", product: "OpenSSH", version: "9.2"},
		{name: "another product", database: "d2", line: "ssh.a ssh Dropbear 9.2",
			cause: event.CauseDatabase, changed: "product", product: "Dropbear", version: "9.2"},
		{name: "by the engine", database: "d1", line: "ssh.a ssh OpenSSH 9",
			cause: event.CauseEngine, changed: "version", product: "OpenSSH", version: "9"},
		{name: "the version is no longer read", database: "d2", line: "ssh.b ssh OpenSSH ",
			cause: event.CauseDatabase, product: "OpenSSH"},
		{name: "an earlier visit added the version", database: "d2", line: "ssh.a ssh OpenSSH ",
			product: "OpenSSH", version: "9.2"},
		{name: "no line any more", database: "d2", cause: event.CauseDatabase},
		{name: "now it is explained", database: "d2", line: "ssh.a ssh OpenSSH 9.2",
			change: func(v *Visit) {
				v.Observation.Identity, v.Observation.Strength = match.Identity{}, probes.Unmatched
				v.Observation.Evidence.Rule, v.Observation.Fingerprint = "", markA
			}, cause: event.CauseDatabase, product: "OpenSSH", version: "9.2"},
		{name: "evidence that was cut", database: "d2", line: "ssh.a ssh Dropbear 1",
			change:  func(v *Visit) { v.Observation.Evidence.Truncated = true },
			product: "OpenSSH", version: "9.2", unable: 1},
		{name: "no evidence", database: "d2", line: "ssh.a ssh Dropbear 1",
			change:  func(v *Visit) { v.Observation.Evidence = nil },
			product: "OpenSSH", version: "9.2", unable: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := plainVisit()
			if c.change != nil {
				c.change(&v)
			}
			lines := map[string]string{}
			if c.line != "" {
				lines[plainAnswer] = c.line
			}
			s, events, done := rematchOne(t, v, matcherOf(c.database, "e2", lines))
			e := endpoints(t, s.Reader, Filter{})[0]
			if e.Current.Product != c.product || e.Current.Version != c.version || done.Unable != c.unable {
				t.Errorf("known as %q %q, %d unable", e.Current.Product, e.Current.Version, done.Unable)
			}
			if want := c.database; c.unable == 0 && (e.Current.Database != want || e.Current.Evidence.Database != want) {
				t.Errorf("the identity is of database %s, its evidence of %s", e.Current.Database, e.Current.Evidence.Database)
			}
			if c.cause == "" {
				if len(events) > 0 || done.Told > 0 {
					t.Errorf("told %v", events)
				}
				return
			}
			if len(events) != 1 || events[0].Action != event.ServiceReclassified || events[0].Cause != c.cause ||
				strings.Join(events[0].Changed, " ") != c.changed || events[0].Previous == nil ||
				events[0].Evidence == nil || events[0].Endpoint.Product != c.product {
				t.Errorf("told %+v", events)
			}
			if e.Current.Fingerprint != "" {
				t.Error("what is explained has a fingerprint")
			}
		})
	}
}

// TestRematchOnce: what is matched by today's database and engine is left alone
// until one of them changes, and a change of the target is one afterwards.
func TestRematchOnce(t *testing.T) {
	lines := map[string]string{plainAnswer: "ssh.a ssh OpenSSH 9.2"}
	s, _, done := rematchOne(t, plainVisit(), matcherOf("d2", "e1", lines))
	for _, c := range []struct {
		by   Matcher
		want int
	}{
		{matcherOf("d2", "e1", lines), 0}, {matcherOf("d2", "e2", lines), 1}, {matcherOf("d3", "e2", lines), 1},
		{matcherOf("d3", "e2", lines), 0},
	} {
		var err error
		if done, err = s.Rematch(t.Context(), c.by); err != nil || done.Endpoints != c.want {
			t.Errorf("database %s, engine %s: looked at %d, %v", c.by.Database, c.by.Engine, done.Endpoints, err)
		}
	}
	c := newClock()
	for range 3 {
		v := plainVisit()
		v.At, v.Observation.Version, v.Observation.Database = c.add(time.Hour), "9.3", "d3"
		mustApply(t, s, v)
	}
	wantActions(t, s.Reader, "service.baseline", "service.changed")
}

// TestRematchOfWhatIsNotThere: what is gone, or of a removed watch, is judged
// anew, as it may return, and nothing is told.
func TestRematchOfWhatIsNotThere(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	v := plainVisit()
	v.At = c.now()
	other := plainVisit()
	other.Key.Port, other.Watch = 23, "other"
	mustApply(t, s, v, other)
	for range 3 {
		mustApply(t, s, refusal(v, c.add(10*time.Minute)))
	}
	if err := s.RetireWatch(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	before := len(allEvents(t, s.Reader))
	lines := map[string]string{plainAnswer: "ssh.a ssh Dropbear 1"}
	if done, err := s.Rematch(t.Context(), matcherOf("d2", "e", lines)); err != nil || done.Endpoints != 2 || done.Told != 0 {
		t.Errorf("%+v, %v", done, err)
	}
	if n := len(allEvents(t, s.Reader)); n != before {
		t.Errorf("%d events more", n-before)
	}
	for _, e := range endpoints(t, s.Reader, Filter{Retired: true}) {
		if e.Current.Product != "Dropbear" {
			t.Errorf("%s is still %s", e.Key, e.Current.Product)
		}
	}
}

// TestRematchOfAPool: each member is told, and members that became the same are
// one.
func TestRematchOfAPool(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	for _, version := range []string{"9.2", "9.3", "9.4"} {
		for range 3 {
			v := plainVisit()
			v.At, v.Observation.Version = c.add(time.Hour), version
			v.Observation.Evidence.Answer = probes.Bytes("SSH-2.0-OpenSSH_" + version)
			mustApply(t, s, v)
		}
	}
	before := len(allEvents(t, s.Reader))
	_, err := s.Rematch(t.Context(), matcherOf("d2", "e", map[string]string{
		plainAnswer: "ssh.a ssh OpenSSH 9.2", "SSH-2.0-OpenSSH_9.3": "ssh.a ssh OpenSSH 9",
		"SSH-2.0-OpenSSH_9.4": "ssh.a ssh OpenSSH 9"}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range allEvents(t, s.Reader)[before:] {
		got = append(got, e.Previous.Version+" is "+e.Endpoint.Version)
	}
	if d := cmp.Diff([]string{"9.3 is 9", "9.4 is 9"}, got); d != "" {
		t.Error(d)
	}
	if e := endpoints(t, s.Reader, Filter{})[0]; e.Current.Version != "9" || len(e.Others) != 1 || e.Others[0].Version != "9.2" {
		t.Errorf("known as %v and %v", e.Current.Identity, e.Others)
	}
}

// TestRematchGoesOn: one that was stopped goes on where it was, over a restart,
// and tells nothing twice.
func TestRematchGoesOn(t *testing.T) {
	dir, c := t.TempDir(), newClock()
	s := openStore(t, dir, c)
	const all = 3*rematchBatch + 5
	lines := map[string]string{}
	for i := range all {
		v := plainVisit()
		v.Key.Addr = netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i)}) // as one host's they would be one event
		answer := fmt.Sprintf("banner %d", i)
		v.Observation.Evidence.Answer = probes.Bytes(answer)
		lines[answer] = "ssh.a ssh Other 1"
		mustApply(t, s, v)
	}
	ctx, cancel := context.WithCancel(t.Context())
	by := matcherOf("d2", "e", lines)
	again := by.Again
	asked := 0
	by.Again = func(o *probes.Observation) (probes.Observation, bool) {
		if asked++; asked == rematchBatch+rematchBatch/2 {
			cancel()
		}
		return again(o)
	}
	if done, err := s.Rematch(ctx, by); !errors.Is(err, context.Canceled) || done.Endpoints != 2*rematchBatch {
		t.Fatalf("stopped after %d, %v", done.Endpoints, err)
	}
	s.Close()
	s = openStore(t, dir, c)
	if done, err := s.Rematch(t.Context(), by); err != nil || done.Endpoints != all-2*rematchBatch {
		t.Errorf("went on with %d, %v", done.Endpoints, err)
	}
	told := map[string]int{}
	for _, e := range allEvents(t, s.Reader)[all:] {
		told[e.Target()]++
	}
	if len(told) != all || asked != all {
		t.Errorf("%d of %d were told, %d asked", len(told), all, asked)
	}
}

// TestRematchOfWhatOtherProbesDrew: the answers of a service that no line explains
// are stored with it, each by its probe, and a line for one of them explains it.
func TestRematchOfWhatOtherProbesDrew(t *testing.T) {
	load := func(lines string) *probes.Database {
		db, err := probes.Load(probes.Source{Name: "one.probes",
			Data: []byte("Probe TCP NULL q||\nProbe TCP Ask q|ask\\r\\n|\n" + lines)})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := load("")
	v := plainVisit()
	o := &v.Observation
	o.Identity, o.Strength, o.Probe, o.Rule, o.Database = match.Identity{}, probes.Unmatched, "", "", db.Hash
	o.Evidence = &probes.Evidence{Probe: "NULL", Database: db.Hash, Answer: []byte("who are you? say it again")}
	o.Answers = []probes.Answer{{Probe: "NULL", Data: o.Evidence.Answer, Length: len(o.Evidence.Answer)},
		{Probe: "Ask", Data: []byte("\x00Thing 2\r\n"), Length: 10}}
	o.Fingerprint = fingerprint.Of(o, fingerprint.Settings{})
	want := o.Answers
	s := openStore(t, t.TempDir(), newClock())
	mustApply(t, s, v)
	e := endpoints(t, s.Reader, Filter{})[0]
	if got, full := Drawn(&e.Current); full || cmp.Diff(want, got) != "" {
		t.Errorf("full %t, %s", full, cmp.Diff(want, got))
	}
	db = load("# id: thing\nmatch thing m|^\\0Thing (\\d)| p/Thing/ v/$1/\n")
	done, err := s.Rematch(t.Context(), Matcher{Database: db.Hash, Engine: "e",
		Again: func(was *probes.Observation) (probes.Observation, bool) {
			return session.Again(match.NewScratch(), db, was)
		}})
	if err != nil || done.Told != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	told := allEvents(t, s.Reader)[1]
	if told.Action != event.ServiceReclassified || told.Cause != event.CauseDatabase || told.Endpoint.Product != "Thing" ||
		told.Evidence == nil || told.Evidence.Probe != "Ask" || told.Evidence.Rule != "thing" {
		t.Errorf("told %+v", told)
	}
	if e = endpoints(t, s.Reader, Filter{})[0]; e.Current.Probe != "Ask" || e.Current.Fingerprint != "" {
		t.Errorf("known by %s, with the fingerprint %q", e.Current.Probe, e.Current.Fingerprint)
	}
}
