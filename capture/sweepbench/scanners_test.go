//go:build bench && linux

package sweepbench

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sonde/capture"
	"sonde/capture/capturetest"
)

// A scanner sweeps a ground once.
type scanner func(t *testing.T, g *ground) result

// unlimited is a rate that nothing here reaches.
const unlimited = 100_000_000

// scanPatience ends a scanner that hangs; a million packets take it ten
// seconds.
const scanPatience = 90 * time.Second

// need skips a test without a Debian package.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("skipped: %v (Debian package %s)", err, program)
	}
	return path
}

func mac(m [6]byte, sep string) string {
	var parts []string
	for _, b := range m {
		parts = append(parts, fmt.Sprintf("%02x", b))
	}
	return strings.Join(parts, sep)
}

// scan runs a program in the sensor's namespace and measures it.
func scan(t *testing.T, g *ground, program string, args ...string) result {
	t.Helper()
	m := startMeter(t, g.Far)
	ctx, cancel := context.WithTimeout(t.Context(), scanPatience)
	defer cancel()
	poke(ctx, t, g)
	cmd := g.Sensor.Command(ctx, program, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", program, strings.Join(args, " "), err, out[max(0, len(out)-2000):])
	}
	var r result
	r.packets, r.took = m.stop(t)
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.cpu = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return r
}

// poke sends the sensor a datagram now and then. Masscan ends only when it
// receives something after its time is over.
func poke(ctx context.Context, t *testing.T, g *ground) {
	t.Helper()
	var c net.Conn
	g.Target.Do(t, func() (err error) {
		c, err = net.Dial("udp", netip.AddrPortFrom(capturetest.Sensor4, 9).String())
		return err
	})
	go func() {
		defer c.Close()
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_, _ = c.Write([]byte("poke")) // refused, as it should be
			}
		}
	}()
}

// masscan is told all that it would otherwise ask the network for.
func masscan(t *testing.T, g *ground) result {
	path := need(t, "masscan")
	out := filepath.Join(t.TempDir(), "masscan")
	r := scan(t, g, path, capturetest.Targets4.String(), "-p", fmt.Sprintf("%d-%d", firstPort, firstPort+benchPorts-1),
		"--rate", strconv.Itoa(unlimited), "--wait", "2", "--seed", "7", "-oL", out,
		"-e", g.Near.Name, "--adapter-ip", capturetest.Sensor4.String(),
		"--adapter-mac", mac(g.Near.MAC(t), "-"), "--router-mac", mac(g.Far.MAC(t), "-"))
	var got []netip.AddrPort
	eachLine(t, out, func(line string) {
		f := strings.Fields(line) // open tcp PORT ADDRESS TIME
		if len(f) < 4 || f[0] != "open" {
			return
		}
		if ap, err := netip.ParseAddrPort(f[3] + ":" + f[2]); err == nil {
			got = append(got, ap)
		}
	})
	r.grade(g.open(portList(benchPorts)), got)
	return r
}

// zmap knows one port only, so it sends as many probes to it as the others have
// ports: its share of found ones is better for that.
func zmap(t *testing.T, g *ground) result {
	path := need(t, "zmap")
	out := filepath.Join(t.TempDir(), "zmap")
	r := scan(t, g, path, capturetest.Targets4.String(), "-p", strconv.Itoa(firstPort), "-P", strconv.Itoa(benchPorts),
		"-r", strconv.Itoa(unlimited), "-c", "2", "-o", out, "-q", "-C", "/dev/null", "-b", "/dev/null",
		"-i", g.Near.Name, "-S", capturetest.Sensor4.String(), "-G", mac(g.Far.MAC(t), ":"), "--disable-syslog")
	var got []netip.AddrPort
	eachLine(t, out, func(line string) {
		if a, err := netip.ParseAddr(strings.TrimSpace(line)); err == nil {
			got = append(got, netip.AddrPortFrom(a, firstPort))
		}
	})
	r.grade(g.open(portList(1)), got)
	return r
}

// bareLoop is what sending alone costs.
func bareLoop(t *testing.T, g *ground) result { return bareRun(t, g, false) }

// bareBoth also takes what comes back, and does nothing with it.
func bareBoth(t *testing.T, g *ground) result { return bareRun(t, g, true) }

func bareRun(t *testing.T, g *ground, receive bool) result {
	t.Helper()
	m := startMeter(t, g.Far)
	p := g.Sensor.Start(t, "bare", capturetest.Bare{Interface: g.Near.Name, SrcMAC: g.Near.MAC(t),
		DstMAC: g.Far.MAC(t), Src: capturetest.Sensor4, Prefix: capturetest.Targets4, Port: firstPort,
		Packets: benchPorts << 16, Receive: receive})
	var stats capturetest.BareStats
	if !p.Next(t, &stats, time.Minute) {
		t.Fatal("the bare loop failed")
	}
	p.Stop(t)
	packets, took := m.stop(t)
	if packets < stats.Sent {
		t.Logf("%d of %d packets arrived", packets, stats.Sent)
	}
	// A process's own count is the one that its CPU time belongs to.
	r := result{packets: stats.Sent, took: took, cpu: stats.CPU}
	if receive && !g.silent {
		r.found = float64(stats.Received) / float64(stats.Sent) // answers that came
	}
	return r
}

// ownSweep asks twice where there are answers to miss, and once where there are
// none, as the others do.
func ownSweep(t *testing.T, g *ground) result {
	t.Helper()
	spec := sweepSpec{Network: capture.TCP, Prefix: capturetest.Targets4,
		Ports: portList(benchPorts), Tries: 2, Profile: os.Getenv("SONDE_SWEEP_PROFILE")}
	if g.silent {
		spec.Tries = 1
	}
	m := startMeter(t, g.Far)
	p := g.Sensor.Start(t, "sweep", spec)
	var own *sweepResult
	for own == nil {
		var e sweepEvent
		if !p.Next(t, &e, scanPatience) {
			t.Fatal("our sweep failed")
		}
		own = e.Result
	}
	p.Stop(t)
	var r result
	r.packets, r.took = m.stop(t)
	r.cpu = own.CPU
	r.grade(g.open(portList(benchPorts)), own.Open)
	t.Logf("our sweep took %v: %+v %v", own.Took, own.Stats, own.Reasons)
	return r
}

func eachLine(t *testing.T, path string, f func(string)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s := bufio.NewScanner(file)
	for s.Scan() {
		f(s.Text())
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
}
