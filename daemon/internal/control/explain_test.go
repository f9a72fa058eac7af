//go:build unix

package control

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/schedule"
	"sonde/daemon/internal/sensor"
	"sonde/probes"
	"sonde/probes/fingerprint"
	"sonde/probes/session"
)

// builtin is the program's own database.
func builtin(t *testing.T) *probes.Database {
	t.Helper()
	sources, err := probes.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	db, err := probes.Load(sources...)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// visited stores what a visit of an SSH server saw.
func (b *bench) visited(t *testing.T, addr, zone string) {
	t.Helper()
	answer := []byte("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n")
	o := session.Identify(b.gen.Database, probes.TCP, "NULL", answer)
	o.Evidence = &probes.Evidence{Probe: "NULL", Rule: o.Rule, Database: b.gen.Database.Hash, Answer: answer}
	o.Addr, o.Port, o.Transport, o.State = netip.MustParseAddr(addr), 22, probes.TCP, probes.Open
	o.At, o.Asked, o.Database = time.Now(), []string{"NULL", "GetRequest"}, b.gen.Database.Hash
	k := event.Key{Zone: zone, Addr: o.Addr, Transport: probes.TCP, Port: 22}
	if _, err := b.store.Apply(t.Context(), []inventory.Visit{{Key: k, Watch: "lan", Method: "connect", Observation: o, At: o.At, Found: true}}); err != nil {
		t.Fatal(err)
	}
}

func TestExplain(t *testing.T) {
	b := newBench(t)
	b.gen.Database = builtin(t)
	b.visited(t, "192.0.2.1", "default")
	b.sensor.plan = sensor.Plan{Watch: "lan", Due: time.Unix(3000, 0), Kind: schedule.Verify, Every: time.Minute, Shut: "paused"}
	var x Explanation
	if err := b.reader().Get(t.Context(), "/v1/explain", url.Values{"endpoint": {"192.0.2.1:22"}}, &x); err != nil {
		t.Fatal(err)
	}
	if x.Endpoint != "192.0.2.1:22/tcp" || x.Zone != "default" || x.Watch != "lan" || x.Status == "unknown" ||
		x.Is.Product != "OpenSSH" || x.Is.Version != "9.2p1" || x.Scope != "watch lan asks it" {
		t.Errorf("%+v", x)
	}
	l := x.Lines
	if l == nil || l.Probe != "NULL" || l.Won == nil || !strings.HasPrefix(l.Won.Place, "ssh.probes:") || l.Won.Place != x.Is.Rule ||
		!strings.Contains(l.Won.Is, "OpenSSH") || len(l.RunnersUp) == 0 || l.Stale || l.Tried < 100 {
		t.Errorf("lines %+v", l)
	}
	states := map[string]Rung{}
	for _, r := range x.Ladder {
		states[r.Probe] = r
	}
	for probe, want := range map[string][2]string{"NULL": {RungWon, ""}, "GetRequest": {RungAsked, ""},
		"GenericLines": {RungNext, "known without"}, "kafka": {RungNever, "above the intensity, 7"},
		"modbus": {RungNever, "the watch does not allow it: industrial"}} {
		if r := states[probe]; r.State != want[0] || !strings.Contains(r.Why, want[1]) || r.Place == "" {
			t.Errorf("%s: %+v, want %v", probe, r, want)
		}
	}
	if n := x.Next; n == nil || !n.Due.Equal(time.Unix(3000, 0)) || n.Why != "it is asked every 1m0s" || n.Shut != "paused" {
		t.Errorf("next %+v", n)
	}
	if len(x.History) == 0 || x.History[0].Action != event.ServiceBaseline {
		t.Errorf("history %+v", x.History)
	}
}

// TestExplainWhatProbesDrew: of a service that no line explains each probe's answer
// is shown, without secrets.
func TestExplainWhatProbesDrew(t *testing.T) {
	b := newBench(t)
	b.gen.Database = builtin(t)
	page := []byte("ODD/1 Set-Cookie: id=verysecret; path=/\r\n")
	o := probes.Observation{Addr: netip.MustParseAddr("192.0.2.1"), Port: 22, Transport: probes.TCP, State: probes.Open,
		Outcome: probes.OutcomeAnswered, Strength: probes.Unmatched, At: time.Now(), Database: b.gen.Database.Hash,
		Evidence: &probes.Evidence{Probe: "GetRequest", Answer: page},
		Answers: []probes.Answer{{Probe: "NULL", Data: []byte("odd\n"), Length: 4},
			{Probe: "GetRequest", Data: page, Length: 1000}}}
	o.Fingerprint = fingerprint.Of(&o, fingerprint.Settings{})
	k := event.Key{Zone: "default", Addr: o.Addr, Transport: probes.TCP, Port: 22}
	if _, err := b.store.Apply(t.Context(), []inventory.Visit{{Key: k, Watch: "lan", Method: "connect", Observation: o, At: o.At, Found: true}}); err != nil {
		t.Fatal(err)
	}
	var x Explanation
	if err := b.reader().Get(t.Context(), "/v1/explain", url.Values{"endpoint": {"192.0.2.1:22"}}, &x); err != nil {
		t.Fatal(err)
	}
	want := []Answer{{Probe: "NULL", Answer: []byte("odd\n"), Length: 4},
		{Probe: "GetRequest", Answer: []byte("ODD/1 Set-Cookie: id=**********; path=/\r\n"), Length: 1000}}
	if diff := cmp.Diff(want, x.Answers); diff != "" || x.Full {
		t.Errorf("full %t\n%s", x.Full, diff)
	}
}

// TestExplainWhatIsNotKnown says which watch would ask it, or why none does.
func TestExplainWhatIsNotKnown(t *testing.T) {
	b := newBench(t)
	b.gen.Database = builtin(t)
	ask := func(endpoint, zone string) (x Explanation, err error) {
		err = b.reader().Get(t.Context(), "/v1/explain", url.Values{"endpoint": {endpoint}, "zone": {zone}}, &x)
		return x, err
	}
	if x, err := ask("192.0.2.9:22", ""); err != nil || x.Status != "unknown" || x.Scope != "an exclude names this address" ||
		x.Next != nil || len(x.Ladder) > 0 {
		t.Errorf("%+v, %v", x, err)
	}
	if x, err := ask("192.0.2.1:22", ""); err != nil || x.Scope != "watch lan asks it" || x.Next.Why != "nothing is known there: the next sweep asks" ||
		len(x.Ladder) == 0 || x.Is != nil {
		t.Errorf("%+v, %v", x, err)
	}
	_, err := ask("192.0.2.2:22", "")
	refusedWith(t, err, 409, "zones default and dmz; say which with --zone")
	if x, err := ask("192.0.2.2:22", "dmz"); err != nil || x.Watch != "dmz" {
		t.Errorf("%+v, %v", x, err)
	}
	_, err = ask("box:22", "")
	refusedWith(t, err, 400, "is no endpoint")
	b.sensor.set(func(f *fake) { f.err = sensor.ErrNotRunning })
	_, err = ask("192.0.2.1:22", "")
	refusedWith(t, err, 503, "does not run")
}

func TestWhyDue(t *testing.T) {
	due := time.Unix(1, 0)
	for _, c := range []struct {
		p    sensor.Plan
		want string
	}{
		{sensor.Plan{Every: time.Minute}, "it is being asked"},
		{sensor.Plan{Due: due, Kind: schedule.Manual}, "somebody waits for it"},
		{sensor.Plan{Due: due, Kind: schedule.Confirm}, "to be confirmed"},
		{sensor.Plan{Due: due, Kind: schedule.Sighted}, "came upon it"},
	} {
		if got := whyDue(&c.p); !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q", c.p, got)
		}
	}
}
