//go:build lab

package probebench

import (
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/probes"
)

// A defender is a real server that bans or refuses a client. How it comes to
// do that is none of a visit's doing here.
type defender struct {
	box     string
	port    uint16
	provoke func(t *testing.T, at netip.AddrPort)
}

// TestDefenders: who refuses us is told as blocked, and what is known of him
// stays.
func TestDefenders(t *testing.T) {
	theLab(t)
	boxes := []defender{
		{"pb-mariadb", 3306, func(t *testing.T, at netip.AddrPort) { // host blocked because of many connection errors
			for range 8 {
				c := dialLab(t, at)
				_, _ = c.Read(make([]byte, 256))
				c.Close()
			}
		}},
		{"pb-sshd", 22, func(t *testing.T, at netip.AddrPort) { // MaxStartups
			for range 3 {
				c := dialLab(t, at)
				_, _ = c.Read(make([]byte, 64))
				t.Cleanup(func() { c.Close() })
			}
		}},
		{"pb-mumble", 64738, func(t *testing.T, at netip.AddrPort) { // autoban
			for range 12 {
				c := tls.Client(dialLab(t, at), &tls.Config{InsecureSkipVerify: true})
				_ = c.Handshake()
				c.Close()
			}
		}},
		{"pb-postscreen", 25, func(t *testing.T, at netip.AddrPort) { // on the list of those denied
			list := filepath.Join(labState(), "run/pb-postscreen/access")
			if err := os.WriteFile(list, []byte(labClient.Client.String()+"/32 reject\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			waitUntil(t, "postscreen denies", func() bool {
				c := dialLab(t, at)
				defer c.Close()
				b := make([]byte, 256)
				n, _ := c.Read(b)
				return strings.HasPrefix(string(b[:n]), "5")
			})
		}},
		{"pb-fail2ban", 22, func(t *testing.T, at netip.AddrPort) {
			for range 6 {
				c := dialLab(t, at)
				_, _ = c.Write([]byte("nonsense\r\n"))
				_, _ = c.Read(make([]byte, 64))
				c.Close()
			}
			waitForBan(t)
		}},
	}
	startDefenders(t, boxes)
	for _, d := range boxes {
		t.Run(d.box, func(t *testing.T) {
			at := job{Addr: addressOfBox(t, d.box), Port: d.port, Transport: probes.TCP}
			first := visitAll(t, []job{at}, 1).Visits[0][0]
			if first.Strength != probes.Hard {
				t.Fatalf("the first visit: %s %s %s", first.Outcome, first.Strength, first.Service)
			}
			d.provoke(t, netip.AddrPortFrom(at.Addr, at.Port))
			at.Known = first.recall()
			again := visitAll(t, []job{at}, 1).Visits[0][0]
			t.Logf("first %s %s %s; then %s %s %q %v", first.Outcome, first.Service, first.Product, again.Outcome,
				again.Strength, again.Reason, again.Errors)
			if again.Evidence != nil {
				t.Logf("it says %s", again.Evidence.Answer)
			}
			if again.Outcome != probes.OutcomeBlocked {
				t.Errorf("outcome %s, want %s", again.Outcome, probes.OutcomeBlocked)
			}
			staysKnown(t, first, again)
		})
	}
}

// staysKnown gives both visits to the rules of the inventory.
func staysKnown(t *testing.T, first, again visited) {
	t.Helper()
	now := time.Now()
	v := inventory.Visit{Key: event.Key{Zone: "default", Addr: first.Addr, Port: first.Port, Transport: first.Transport},
		Watch: "lab", Method: "connect", Observation: first.Observation, At: now, HostAlive: now}
	known, _ := inventory.Decide(nil, v, inventory.DefaultRules())
	for range 5 { // as often as any rule needs to believe in an absence
		now = now.Add(time.Hour)
		v.Observation, v.At, v.HostAlive = again.Observation, now, now
		var events []event.Event
		known, events = inventory.Decide(&known, v, inventory.DefaultRules())
		for _, e := range events {
			if e.Action != event.ServiceUnverified {
				t.Errorf("told %s: %s", e.Action, e.Message)
			}
		}
	}
	if identityOf(&known.Current) != identityOf(&first.Observation) {
		t.Errorf("known is %+v, was %+v", identityOf(&known.Current), identityOf(&first.Observation))
	}
}

// startDefenders adds the boxes of testdata/defend.lab to the lab until the
// test ends.
func startDefenders(t *testing.T, boxes []defender) {
	t.Helper()
	file, err := filepath.Abs("testdata/defend.lab")
	if err != nil {
		t.Fatal(err)
	}
	command := func(verb string) string {
		c := exec.Command("python3", shared(t, "lab/lab.py"), verb)
		for _, d := range boxes {
			c.Args = append(c.Args, d.box)
		}
		c.Env = append(os.Environ(), "LAB_FILES="+file)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("lab %s: %v: %s", verb, err, out)
		}
		return string(out)
	}
	t.Cleanup(func() { command("down") })
	command("down") // what an earlier test left
	t.Logf("%s", command("up"))
	forgetNeighbours(t)
}

// addressOfBox gives the address that the lab gave to a box.
func addressOfBox(t *testing.T, box string) netip.Addr {
	t.Helper()
	fields := strings.Fields(run(t, "ip", "-n", "lab-"+box, "-4", "-br", "addr", "show", "dev", "eth0"))
	if len(fields) < 3 {
		t.Fatalf("%s has no address: %q", box, fields)
	}
	return netip.MustParsePrefix(fields[2]).Addr()
}

// dialLab connects from the lab's client.
func dialLab(t *testing.T, at netip.AddrPort) net.Conn {
	t.Helper()
	var c net.Conn
	_, err := inNamespace(labNamespace, func() (d time.Duration, err error) {
		c, err = net.DialTimeout("tcp4", at.String(), 5*time.Second)
		return 0, err
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// waitForBan waits until fail2ban has told the kernel of us.
func waitForBan(t *testing.T) {
	t.Helper()
	waitUntil(t, "fail2ban bans", func() bool {
		rules := run(t, "ip", "netns", "exec", "lab-pb-fail2ban", "nft", "list", "ruleset")
		return strings.Contains(rules, labClient.Client.String())
	})
}

// waitUntil waits for a server that tells nobody when it is done.
func waitUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 100 {
		if done() {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatalf("in vain waited until %s", what)
}

// counted are the boxes whose server counts every connection that does not log
// in, however politely it ends: nothing but not coming keeps it from a ban.
var counted = map[string]string{
	"tigervnc": "its Blacklist forgives only a login; from the sixth visit on it doubles its ban",
}

// TestHundredVisits: after many visits no real server has banned us, but those
// that ban whoever does not log in; of these no visit may make another service.
func TestHundredVisits(t *testing.T) {
	// Some servers take seconds for each answer, so some visits overlap.
	const streams = 4
	visits := number("SONDE_BAN_VISITS", 100)
	boxes := map[netip.Addr]string{}
	for _, tr := range theLab(t) {
		boxes[tr.Addr] = tr.Box
	}
	var list []job
	for _, rounds := range visitAll(t, jobs(theLab(t)), 1).Visits {
		if v := rounds[0]; v.Strength == probes.Hard || v.Strength == probes.Soft {
			j := job{v.Addr, v.Port, v.Transport, v.recall()}
			list = append(list, slices.Repeat([]job{j}, streams)...)
		}
	}
	results := visitAll(t, list, (visits+streams-1)/streams).Visits
	var doubtful []job
	for i := 0; i < len(list); i += streams {
		outcomes := map[probes.Outcome]int{}
		bad := false
		for _, rounds := range results[i : i+streams] {
			for _, v := range rounds {
				outcomes[v.Outcome]++
			}
			bad = bad || rounds[len(rounds)-1].Outcome != probes.OutcomeAnswered
		}
		box := boxes[list[i].Addr]
		if outcomes[probes.OutcomeAnswered] < visits {
			t.Logf("%s %v, known by %s: %v", box, list[i].key(), list[i].Known.Probe, outcomes)
		}
		if bad && restless[box] == "" {
			doubtful = append(doubtful, list[i])
		}
	}
	t.Logf("%d services visited %d times each", len(list)/streams, visits)
	// No sensor visits that fast: who slowed us down, as some do with any
	// client that hurries, answers again after a while, and who banned us does
	// not.
	time.Sleep(afterHurry)
	for i, rounds := range visitAll(t, doubtful, 1).Visits {
		v, box := rounds[0], boxes[doubtful[i].Addr]
		switch {
		case v.Outcome == probes.OutcomeAnswered:
			continue
		case counted[box] != "" && v.Outcome == probes.OutcomeBlocked:
			t.Logf("%s is expected to: %s", box, counted[box])
		default:
			t.Errorf("%s %v: a while after its visits %s %s", box, doubtful[i].key(), v.Outcome, v.Reason)
		}
		restartBox(t, box) // the other tests need it
	}
}

// afterHurry is more than the minute for which servers commonly slow a client
// down.
const afterHurry = 65 * time.Second
