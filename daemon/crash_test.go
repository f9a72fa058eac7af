//go:build faultpoints

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// crashCounts says at which passes a point kills if not at the first and at
// two in the middle of the work: a file is rotated, a sweep ends, and a
// heartbeat comes, every few seconds only.
var crashCounts = map[string][]int{
	"json.rotate.before": {1, 1}, "json.rotate.renamed": {1, 1}, "json.rotate.opened": {1, 1},
	"store.pass.before": {1, 2, 3}, "store.pass.after": {1, 2, 3},
	"store.record.before": {1, 2, 4}, "store.record.after": {1, 2, 4},
}

// TestCrashCampaign kills the real daemon at every named point while real
// services start, change and stop, and checks that in the end each change was
// told exactly once. KILLS=n adds n lives with random points.
func TestCrashCampaign(t *testing.T) {
	c := newCampaign(t)
	for _, f := range c.plan() {
		c.life(f.point, f.pass)
	}
	c.last()
	for _, point := range campaignPoints() {
		t.Logf("%-22s hit %d times", point, c.hits[point])
		if c.hits[point] == 0 {
			t.Errorf("%s was never hit", point)
		}
	}
	c.verify()
	t.Logf("syslog: %d of %d events came, %d came twice",
		c.syslog.distinct(), c.wantSyslog, c.syslog.total()-c.syslog.distinct())
	t.Logf("changes of services: %d, integrity checks: %d", c.changes(), c.checks)
	fmt.Printf("crash: kills=%d events=%d lost=%d doubled=%d corrupt=%d\n",
		c.kills, c.events, c.lost, c.doubled, c.corrupt)
}

// A campaign is one state directory, its services, and what was found out.
type campaign struct {
	t        *testing.T
	bin, dir string
	config   string
	rng      *rand.Rand
	actors   []*actor
	syslog   *receiver
	driving  sync.WaitGroup
	enough   chan struct{} // closed when no further change shall begin

	mu  sync.Mutex
	log *eventLog

	hits                               map[string]int
	kills, checks, events              int
	lost, doubled, corrupt, wantSyslog int
}

func newCampaign(t *testing.T) *campaign {
	c := &campaign{t: t, bin: filepath.Join(t.TempDir(), "sonde"), dir: t.TempDir(),
		rng:    rand.New(rand.NewPCG(uint64(os.Getpid()), uint64(time.Now().UnixNano()))),
		enough: make(chan struct{}), hits: map[string]int{}, syslog: newReceiver(t)}
	out, err := exec.Command("go", "build", "-tags", "faultpoints", "-o", c.bin, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("build the daemon: %v\n%s", err, out)
	}
	c.config = filepath.Join(c.dir, "sonde.toml")
	c.log = newEventLog(filepath.Join(c.dir, "state"))
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
[output]
heartbeat_every = "1s"
[output.json]
max_size = "64KiB"
keep = 1000
[output.syslog]
enabled = true
target = "udp://%s"
`, c.log.dir, loopback(1), crashServices, crashPort, c.syslog.addr())
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
// TestKilledAtEachPoint.
func campaignPoints() []string {
	return slices.DeleteFunc(fault.Names(), func(s string) bool {
		return strings.HasPrefix(s, "store.migrate.") || strings.HasPrefix(s, "store.rematch.")
	})
}

// A faultAt is a point and at which pass it kills.
type faultAt struct {
	point string
	pass  int
}

// plan gives the lives: each point with each of its counts, in random order.
func (c *campaign) plan() []faultAt {
	// The first of all lines is a header, and torn.
	plan := []faultAt{{"json.write.short", 1}}
	for _, point := range campaignPoints() {
		counts, ok := crashCounts[point]
		if !ok {
			counts = []int{1, 2 + c.rng.IntN(5), 7 + c.rng.IntN(9)}
		}
		for _, n := range counts {
			plan = append(plan, faultAt{point, n})
		}
	}
	rest := plan[1:]
	c.rng.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
	more, _ := strconv.Atoi(os.Getenv("KILLS"))
	for range more {
		points := campaignPoints()
		point := points[c.rng.IntN(len(points))]
		pass := 1 + c.rng.IntN(10)
		if counts, ok := crashCounts[point]; ok {
			pass = counts[c.rng.IntN(len(counts))]
		}
		plan = append(plan, faultAt{point, pass})
	}
	return plan
}

// life runs the daemon until the point kills it.
func (c *campaign) life(point string, pass int) {
	name := fmt.Sprintf("%s:%d", point, pass)
	cmd, stderr := c.start(name)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(hitWithin):
		_ = cmd.Process.Kill()
		<-ended
		c.t.Errorf("%s: not passed within %v", name, hitWithin)
		return
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		c.t.Fatalf("%s: the daemon ended by itself: %v\n%s", name, cmd.ProcessState, stderr)
	}
	c.hits[point]++
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

// An actor is a service and what must have been told of it.
type actor struct {
	g       *greeter
	rng     *rand.Rand
	version int // running number; none is used twice, as the old one is no news
	up      bool
	expect  []tale
}

// A tale is what one event says.
type tale struct {
	action            event.Action
	version, previous string
}

func newActor(t *testing.T, at netip.AddrPort, seed uint64) *actor {
	return &actor{g: newGreeter(t, at), rng: rand.New(rand.NewPCG(seed, 1))}
}

func (a *actor) name() string { return fmt.Sprintf("9.%dp1", a.version) }

// begin starts the service for the first time.
func (a *actor) begin() {
	a.version++
	a.up = true
	a.g.say(ssh(a.name()))
	a.expect = append(a.expect, tale{event.ServiceBaseline, a.name(), ""})
}

// step makes the next change.
func (a *actor) step() {
	was := a.name()
	switch {
	case a.up && a.rng.IntN(3) == 0:
		a.g.stop()
		a.up = false
		a.expect = append(a.expect, tale{event.ServiceGone, was, ""})
		return
	case a.up:
		a.version++
		a.expect = append(a.expect, tale{event.ServiceChanged, a.name(), was})
	case a.rng.IntN(2) == 0:
		a.expect = append(a.expect, tale{event.ServiceReturned, was, ""})
	default:
		a.version++
		a.expect = append(a.expect, tale{event.ServiceReturned, a.name(), was})
	}
	a.up = true
	a.g.say(ssh(a.name()))
}

// receiver takes syslog datagrams and keeps the ids in them.
type receiver struct {
	conn net.PacketConn
	mu   sync.Mutex
	ids  map[string]int
}

func newReceiver(t *testing.T) *receiver {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{conn: conn, ids: map[string]int{}}
	done := make(chan struct{})
	go func() { defer close(done); r.serve() }()
	t.Cleanup(func() { conn.Close(); <-done })
	return r
}

var syslogID = regexp.MustCompile(` id="([0-9a-f]{32})"`)

func (r *receiver) serve() {
	buf := make([]byte, 64<<10)
	for {
		n, _, err := r.conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if m := syslogID.FindSubmatch(buf[:n]); m != nil {
			r.mu.Lock()
			r.ids[string(m[1])]++
			r.mu.Unlock()
		}
	}
}

func (r *receiver) addr() string { return r.conn.LocalAddr().String() }

func (r *receiver) distinct() int { r.mu.Lock(); defer r.mu.Unlock(); return len(r.ids) }

func (r *receiver) total() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, count := range r.ids {
		n += count
	}
	return n
}
