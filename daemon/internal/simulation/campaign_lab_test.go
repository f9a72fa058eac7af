//go:build lab && linux

package simulation

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sonde/daemon/internal/event"
)

// rounds is how many there are without SONDE_ROUNDS, at two to three minutes
// each.
const rounds = 3

// toldIn is how long a change may take to be told: thirty times less than at a
// site, as all times of the configuration are, and as long again where the noise
// had it held.
const toldIn = 4 * time.Minute

// TestCampaign: the real daemon watches the lab of real servers, and boxes of
// our own among them, over a link that loses one frame in twenty each way. It is
// killed, paused and configured anew, and its boxes make the noise that sites
// have. Each true change is told once, and nothing else is.
func TestCampaign(t *testing.T) {
	n := rounds
	if s := os.Getenv("SONDE_ROUNDS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 1 {
			t.Fatalf("SONDE_ROUNDS=%s: write a number", s)
		}
	}
	c := newCampaign(t)
	c.d.begin()
	c.until("first look", func() bool { return c.seen[event.WatchBaselined] >= 3 })
	for range n {
		c.round()
	}
	c.d.end(syscall.SIGTERM)
	c.follow()
	c.sum(&c.count)
	s := &c.count
	t.Logf("events by action: %v", s.byAction)
	t.Logf("starts of the daemon: %d, of these after SIGKILL: %d", c.d.lives, c.d.kills)
	fmt.Printf("campaign: rounds=%d changes=%d told=%d missed=%d doubled=%d false=%d lab_own=%d\n",
		n, s.changes, s.told, s.missed, s.doubled, s.wrong, s.own)
}

// A campaign is the ground, the daemon, and what is to be told.
type campaign struct {
	ledger
	g     *ground
	d     *process
	nth   int // round
	count score
	seen  map[event.Action]int
	read  int64 // of the event file

	watched  scope
	renewing *renewing
	unproven bool // the first database is in use
	ca       *authority
	was      map[string]handler
}

// A scope is what the lab has.
type scope struct {
	tcp, udp string
	renewing []netip.AddrPort // whose certificates are others from time to time
}

func newCampaign(t *testing.T) *campaign {
	sc := labScope(t)
	c := &campaign{g: newGround(t), watched: sc, renewing: newRenewing(t, sc.renewing), unproven: true, seen: map[event.Action]int{}, was: map[string]handler{},
		ca: newAuthority(t, "CA 1")}
	c.ledger = ledger{t: t, begun: time.Now()}
	c.count.byAction = map[event.Action]int{}
	c.d = newProcess(t, c.g)
	c.populate()
	c.configure()
	return c
}

// oneClient is the box whose server closes its port while it serves a client, and
// five seconds longer. As others use the lab, too, it truly is closed at times.
const oneClient = "openvpn"

// labScope gives the ports that the lab's servers use, and starts the lab unless
// it runs.
func labScope(t *testing.T) scope {
	t.Helper()
	dir := cmp.Or(os.Getenv("SONDE_SHARED"), filepath.Join("..", "..", "..", "..", "shared"))
	script := filepath.Join(dir, "lab", "lab.py")
	if os.Getuid() != 0 {
		t.Skip("skipped: network namespaces need root")
	}
	if _, err := os.Stat(script); err != nil {
		t.Skipf("skipped: %s is absent (SONDE_SHARED names its directory)", script)
	}
	lab := func(args ...string) {
		if out, err := exec.Command("python3", append([]string{script}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("lab %v: %v: %s", args, err, out)
		}
	}
	if _, err := os.Stat("/run/netns/" + labNamespace); err != nil {
		lab("up", "train")
		t.Cleanup(func() { lab("down") })
	}
	lab("truth", "train")
	data, err := os.ReadFile(filepath.Join(cmp.Or(os.Getenv("LAB_STATE"), "/var/tmp/sonde-lab"), "truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Box, Proto, TLS string
		Addr            netip.Addr
		Port            uint16
	}
	if err := json.Unmarshal(data, &all); err != nil || len(all) == 0 {
		t.Fatalf("the lab's list of servers: %d entries, %v", len(all), err)
	}
	var sc scope
	ports := map[string]map[string]bool{"tcp": {}, "udp": {}}
	for _, e := range all {
		if e.Box == oneClient && e.Proto == "tcp" {
			continue
		}
		ports[e.Proto][strconv.Itoa(int(e.Port))] = true
		if e.Box == renewsItself && e.TLS == "yes" {
			sc.renewing = append(sc.renewing, netip.AddrPortFrom(e.Addr, e.Port))
		}
	}
	join := func(m map[string]bool) string { return strings.Join(slices.Sorted(maps.Keys(m)), ",") }
	sc.tcp, sc.udp = join(ports["tcp"]), join(ports["udp"])
	return sc
}

// configure writes the configuration, in which all times are a thirtieth of the
// defaults. Round by round the ports of our boxes grow, and the database is
// another one.
func (c *campaign) configure() {
	ports, files := "20-90,443,3306", `"builtin"`
	if c.nth > 0 {
		ports = "20-95,443,3306,8080"
	}
	if !c.unproven {
		extra := filepath.Join(c.d.dir, "campaign.probes")
		text := "Probe TCP NULL q||\n# id: campaign.heron\nmatch heron m|^HERON ready (\\d+)\\r\\n| p/Heron/ v/$1/\n" +
			"Probe TCP Campaign q|CAMPAIGN\\r\\n|\nrarity 3\nports 8080\n# id: campaign.never\nmatch campaign m|^CAMPAIGN yes|\n"
		if err := os.WriteFile(extra, []byte(text), 0o600); err != nil {
			c.t.Fatal(err)
		}
		files = strconv.Quote(extra) + `, "builtin"`
	}
	c.d.configure(fmt.Sprintf(`
[[watch]]
name = "lab"
targets = ["198.18.1.1-198.18.1.102", "2001:db8::1:0/121"]
tcp_ports = %q
udp_ports = %q
discover_every = "30s"
verify_every = "15s"
best_effort = true
[[watch]]
name = "own"
targets = ["198.18.200.0/26"]
tcp_ports = %q
udp_ports = ""
discover_every = "15s"
verify_every = "8s"
best_effort = true
[limits]
packets_per_second = 10000
host_packets_per_second = 1000
host_connections = 4
host_new_connections_per_second = 20
tries = 6
[confirm]
changed_over = "3s"
closed_after = "10s"
gone_after = "60s"
mass_window = "1m"
mass_hold = "5m"
[database]
files = [%s]
[output]
heartbeat_every = "30s"
`, c.watched.tcp, c.watched.udp, ports, files))
}

// round plays one set of changes amid one set of noise, and waits until all is
// told.
func (c *campaign) round() {
	c.nth++
	c.t.Logf("%v: round %d", c.now(), c.nth)
	stop := make(chan struct{})
	var killer sync.WaitGroup
	killer.Go(func() { c.killAtRandom(stop) })
	c.play()
	c.until("what is to be told", c.allTold)
	close(stop)
	killer.Wait()
}

// killAtRandom ends and starts the daemon until it is told to stop: mostly so
// that it cannot say good-bye.
func (c *campaign) killAtRandom(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(15+rand.IntN(30)) * time.Second):
		}
		sig := syscall.SIGKILL
		if rand.IntN(4) == 0 {
			sig = syscall.SIGTERM
		}
		c.d.again(sig)
	}
}

func (c *campaign) now() time.Duration { return time.Since(c.begun).Round(time.Millisecond) }

// follow counts what was told since.
func (c *campaign) follow() {
	c.expectRenewed()
	var list []event.Event
	list, c.read = c.d.tail(c.read)
	for i := range list {
		e := &list[i]
		c.seen[e.Action]++
		if e.Action != event.CertificateExpiring && e.Action != event.CertificateExpired { // of the lab, and true
			c.score(&c.count, e)
		}
	}
}

// until waits for something to be told; what is not in time is missed.
func (c *campaign) until(what string, is func() bool) {
	for end := time.Now().Add(toldIn + time.Minute); ; time.Sleep(500 * time.Millisecond) {
		c.follow()
		if is() {
			return
		}
		if time.Now().After(end) {
			c.t.Errorf("%v: %s: not in time", c.now(), what)
			return
		}
	}
}

func (c *campaign) allTold() bool {
	return !slices.ContainsFunc(c.wants, func(x *want) bool {
		return !x.may && x.told == 0 && c.now() < x.at+x.within
	})
}

// change has a true change happen.
func (c *campaign) change(do func(), wants ...want) {
	at := c.now()
	for i := range wants {
		wants[i].within = toldIn
	}
	c.expect(at, wants...)
	do()
}

func at(n int) netip.Addr { return boxAddr(n) }
