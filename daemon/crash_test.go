//go:build faultpoints

package main

import (
	"bytes"
	"fmt"
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
	"sonde/daemon/internal/fault"
)

const (
	crashServices = 24
	crashPort     = 2222
	// hitWithin is how long a life may last until its point is passed, and
	// toldWithin how long a change may wait to be told over several lives.
	hitWithin  = 40 * time.Second
	toldWithin = 2 * time.Minute
)

// crashSeldom are the points that are passed every ten seconds at most: each is
// planned less often than the others, and at its first pass.
var crashSeldom = []string{"json.rotate.", "json.compress.", "store.trim.", "store.vacuum.", "store.pass.", "store.record."}

func seldom(point string) bool {
	return slices.ContainsFunc(crashSeldom, func(s string) bool { return strings.HasPrefix(point, s) })
}

// TestCrashCampaign kills the real daemon while real services start, change and
// stop: KILLS times, half of them at named points and half at any instant, and
// checks that in the end each change was told exactly once.
func TestCrashCampaign(t *testing.T) {
	crash(newCampaign(t, t.TempDir(), kills(t)))
}

// TestCrashPowerCuts does so on a file system of which each death takes what was
// not synced.
func TestCrashPowerCuts(t *testing.T) {
	d := newDisk(t)
	c := newCampaign(t, d.mount, kills(t))
	c.powerOff, c.powerOn = d.shutDown, d.replug
	c.unplugs = true
	crash(c)
}

// kills is how often: once at each point, if nothing is said.
func kills(t *testing.T) int {
	s := os.Getenv("KILLS")
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("KILLS=%s: %v", s, err)
	}
	return n
}

func crash(c *campaign) {
	for _, l := range c.plan() {
		c.life(l)
	}
	c.last()
	for _, point := range campaignPoints() {
		c.t.Logf("%-22s hit %d times", point, c.hits[point])
		if c.hits[point] == 0 {
			c.t.Errorf("%s was never hit", point)
		}
	}
	c.t.Logf("%-22s %d times", "at any instant", c.hits[""])
	c.verify()
	c.t.Logf("syslog: %d of %d events came, %d came twice",
		c.syslog.distinct(), c.wantSyslog, c.syslog.total()-c.syslog.distinct())
	if missing := c.wantSyslog - c.syslog.distinct(); missing != 0 {
		c.t.Errorf("%d events are not at the syslog receiver", missing)
		c.lost += max(0, missing)
	}
	c.t.Logf("changes of services: %d, integrity checks: %d", c.changes(), c.checks)
	fmt.Printf("%s: kills=%d events=%d lost=%d doubled=%d corrupt=%d\n",
		c.t.Name(), c.kills, c.events, c.lost, c.doubled, c.corrupt)
}

// A campaign is one state directory, its services, and what was found out.
type campaign struct {
	t        *testing.T
	bin, dir string
	config   string
	many     int // lives

	powerOff, powerOn func() // take what was not synced
	unplugs           bool   // they do
	rng               *rand.Rand
	actors            []*actor
	syslog            *receiver
	driving           sync.WaitGroup
	enough            chan struct{} // closed when no further change shall begin

	mu  sync.Mutex
	log *eventLog

	hits                               map[string]int
	kills, checks, events              int
	lost, doubled, corrupt, wantSyslog int
}

func newCampaign(t *testing.T, dir string, many int) *campaign {
	c := &campaign{t: t, bin: filepath.Join(t.TempDir(), "sonde"), dir: t.TempDir(), many: many,
		powerOff: func() {}, powerOn: func() {},
		rng:    rand.New(rand.NewPCG(uint64(os.Getpid()), uint64(time.Now().UnixNano()))),
		enough: make(chan struct{}), hits: map[string]int{}, syslog: newReceiver(t)}
	out, err := exec.Command("go", "build", "-tags", "faultpoints", "-o", c.bin, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("build the daemon: %v\n%s", err, out)
	}
	c.config = filepath.Join(c.dir, "sonde.toml")
	c.log = newEventLog(filepath.Join(dir, "state"))
	probes := filepath.Join(c.dir, "ssh.probes") // few, as each life reads them
	if err := os.WriteFile(probes, []byte(crashProbes), 0o600); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`
[sensor]
state_dir = %q
[[watch]]
name = "crash"
targets = ["%s-%d"]
tcp_ports = "%d"
udp_ports = ""
discover_every = "1s"
verify_every = "1s"
best_effort = true
[confirm]
new_visits = 2
new_spacing = "100ms"
changed_visits = 2
changed_over = "200ms"
closed_visits = 2
closed_after = "200ms"
mass_hosts = 100000 # many of them stop at once, and each is to be told
[database]
files = [%q]
[output]
heartbeat_every = "1s"
[output.json]
max_size = "64KiB"
keep = 1000
[output.syslog]
enabled = true
target = "udp://%s"
`, c.log.dir, loopback(1), crashServices, crashPort, probes, c.syslog.addr())
	if err := os.WriteFile(c.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range crashServices {
		a := newActor(t, netip.AddrPortFrom(loopback(i+1), crashPort), uint64(i))
		if i%2 == 0 {
			a.begin() // is there before the first look
		}
		c.actors = append(c.actors, a)
		c.driving.Go(func() { c.drive(a) })
	}
	return c
}

// campaignPoints are all but those that a store passes once, or once for each
// program: package inventory has them, in TestKilledWhileMigrating and
// TestKilledAtEachPoint. The campaign's networks are loopback, where no sweep is by
// packets.
func campaignPoints() []string {
	return slices.DeleteFunc(fault.Names(), func(s string) bool {
		return strings.HasPrefix(s, "store.migrate.") || strings.HasPrefix(s, "store.rematch.") ||
			strings.HasPrefix(s, "sweep.")
	})
}

// crashProbes are what identifies the services.
const crashProbes = `Probe TCP NULL q||
totalwaitms 6000
# id: ssh.openssh
match ssh m|^SSH-([\d.]+)-OpenSSH_([\w.]+)\r?\n| p/OpenSSH/ v/$2/ i/protocol $1/ cpe:/a:openbsd:openssh:$2/
`

// A lifetime ends at a point's pass, or after some time.
type lifetime struct {
	point string
	pass  int
	after time.Duration
}

// plan gives the lives: each point at least once, in random order, and as many
// again at any instant, up to what is asked for.
func (c *campaign) plan() []lifetime {
	// The first of all lines is a header, and torn.
	plan := []lifetime{{point: "json.write.short", pass: 1}}
	for round := 0; round == 0 || len(plan) < c.many; round++ {
		points := slices.DeleteFunc(campaignPoints(), func(p string) bool { return round%10 > 0 && seldom(p) })
		c.rng.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
		for _, p := range points {
			pass := 1
			if !seldom(p) {
				pass += c.rng.IntN(12)
			}
			plan = append(plan, lifetime{point: p, pass: pass},
				lifetime{after: time.Duration(c.rng.Int64N(int64(anyInstant)))})
		}
	}
	return plan[:max(c.many, 1+2*len(campaignPoints()))]
}

// anyInstant is how long a life lasts at most that no point ends: until it has
// started, made visits, and told of them.
const anyInstant = 1500 * time.Millisecond

// life runs the daemon until the point or the time kills it.
func (c *campaign) life(l lifetime) {
	name := ""
	limit := l.after
	if l.point != "" {
		name, limit = fmt.Sprintf("%s:%d", l.point, l.pass), hitWithin
	}
	cmd, stderr := c.start(name)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	unplugged := false
	select {
	case <-ended:
	case <-time.After(limit):
		c.powerOff()
		unplugged = c.unplugs
		_ = cmd.Process.Kill()
		<-ended
		if l.point != "" {
			c.t.Errorf("%s: not passed within %v", name, hitWithin)
		}
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if unplugged && ok && !status.Signaled() {
		status = syscall.WaitStatus(syscall.SIGKILL) // it found its disk dead, and ended before the kill
	}
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		c.t.Fatalf("%s: the daemon ended by itself: %v\n%s", name, cmd.ProcessState, stderr)
	}
	if l.point != "" {
		c.powerOff()
	}
	c.powerOn()
	c.hits[l.point]++
	c.kills++
	c.checkIntegrity(name)
}

func (c *campaign) start(point string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.Command(c.bin, "run", "-c", c.config)
	cmd.Env = append(os.Environ(), fault.Variable+"="+point)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	return cmd, &stderr
}

// last runs the daemon until everything is told, and stops it properly.
func (c *campaign) last() {
	cmd, stderr := c.start("")
	close(c.enough)
	c.driving.Wait()
	begun := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		c.t.Errorf("the daemon ends with %v\n%s", err, stderr)
	}
	if took := time.Since(begun); took > 5*time.Second {
		c.t.Errorf("SIGTERM took %v", took)
	}
}

// told gives the events about an address that are in the JSON file.
func (c *campaign) told(at netip.Addr) []event.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log.refresh()
	return slices.Clone(c.log.byAddr[at])
}

func (c *campaign) baselined() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log.refresh()
	return c.log.baselined
}

// drive changes one service again and again, each time after the change before
// was told.
func (c *campaign) drive(a *actor) {
	if a.version == 0 {
		c.await("the first look", c.baselined)
		a.begin()
		a.expect[0].action = event.ServiceNew
	}
	for {
		want := len(a.expect)
		if !c.await(fmt.Sprintf("%s: %v", a.g.at, a.expect[want-1]), func() bool {
			return len(c.told(a.g.at.Addr())) >= want
		}) {
			return
		}
		select {
		case <-c.enough:
			return
		default:
			a.step()
		}
	}
}

// await polls: the file of another process can not be waited for.
func (c *campaign) await(what string, done func() bool) bool {
	deadline := time.Now().Add(toldWithin)
	for !done() {
		if time.Now().After(deadline) {
			c.t.Errorf("%s: not told within %v", what, toldWithin)
			return false
		}
		time.Sleep(100 * time.Millisecond)
	}
	return true
}

func (c *campaign) changes() (n int) {
	for _, a := range c.actors {
		n += len(a.expect)
	}
	return n
}
