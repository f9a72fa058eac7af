//go:build integration && linux

package onwire

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"sonde/capture/capturetest"
	"sonde/daemon/internal/event"
)

// many is 4,096 addresses with one port each, at a rate that takes the time to
// be killed in, and one open port in each 64 of them.
const many = `
[limits]
packets_per_second = 500
[[watch]]
name = "many"
targets = ["198.18.16.0/20"]
tcp_ports = "22"
discover_every = "1h"
`

// TestKilledSweepGoesOn kills the daemon in the middle of a sweep. The next one
// asks only what is left, and both together find everything, once each.
func TestKilledSweepGoesOn(t *testing.T) {
	// So many are asked in more time than it takes to tell how far it is, and are
	// not all. Each of 500 packets a second is of one target.
	for method, enough := range map[string]int{"syn": 1500, "connect": 2500} {
		t.Run(method, func(t *testing.T) { killedSweepGoesOn(t, method, enough) })
	}
}

func killedSweepGoesOn(t *testing.T, method string, enough int) {
	p := ground(t)
	var want []string
	for i := range 16 {
		at := fmt.Sprintf("198.18.%d.%d:22", 16+i, 16*i+1)
		serve(t, p.Target, at, ssh)
		want = append(want, at)
	}
	wire := capturetest.RecordReceived(t, p.Far)
	d := start(t, p.Sensor, many+"[discovery]\nmethod = '"+method+"'\n")
	d.awaitLog(t, "sweep begins", "transport=tcp")
	d.until(t, "part of the sweep", func() bool { return len(asked(wire, method)) >= enough })
	if err := d.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = d.cmd.Wait()
	if strings.Contains(d.log.String(), "sweep complete") {
		t.Fatalf("the sweep was complete before the program was killed:\n%s", d.log)
	}
	before := asked(wire, method)

	d.cmd = p.Sensor.Command(context.Background(), program(t), "run", "-c", filepath.Join(d.dir, "sonde.toml"))
	d.log = &lockedBuffer{}
	d.cmd.Stderr = d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := d.awaitLog(t, "sweep goes on where it stopped", "watch=many")
	m := regexp.MustCompile(`from=(\d+)`).FindStringSubmatch(line)
	from, err := strconv.Atoi(m[1])
	if err != nil || from < 200 || from >= 4096 {
		t.Errorf("log: %s", line)
	}
	d.awaitLog(t, "sweep complete", "watch=many", "targets="+strconv.Itoa(4096-from))
	d.await(t, "watch.baselined", func(e *event.Event) bool { return e.Action == event.WatchBaselined })
	found := map[string]int{}
	for _, e := range d.events(t) {
		if e.Action == event.ServiceBaseline {
			found[endpointOf(&e).String()]++
		}
	}
	for _, at := range want {
		if found[at] != 1 {
			t.Errorf("%s is told %d times", at, found[at])
		}
	}
	if len(found) != len(want) {
		t.Errorf("found %v, want %q", found, want)
	}
	all := asked(wire, method)
	t.Logf("%d of 4,096 asked before, gone on from %d, %d asked in all", len(before), from, len(all))
	twice := 0
	for _, n := range all {
		if n > 1 {
			twice++
		}
	}
	if len(all) != 4096 || twice > len(before)-from+len(want) {
		t.Errorf("%d targets were asked, %d of them twice", len(all), twice)
	}
}

// asked counts the SYNs of discovery, by target; those of a kernel are no others
// than those of visits.
func asked(wire *capturetest.Recorder, method string) map[netip.Addr]int {
	n := map[netip.Addr]int{}
	for _, f := range wire.Frames() {
		ours := f.SrcPort >= 61000 && f.SrcPort <= 61255
		if f.Class() == capturetest.ClassSYN && ours == (method == "syn") {
			n[f.Dst]++
		}
	}
	return n
}
