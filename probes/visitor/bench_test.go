//go:build unix

package visitor

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sonde/probes"
	"sonde/probes/session"
)

// startServer runs a server in a process of its own.
func startServer(b *testing.B, mode string) netip.AddrPort {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverMode+"="+mode)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err, err2); err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return netip.MustParseAddrPort(strings.TrimSpace(line))
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// hears is a script that keeps nothing but the text.
func hears() *script {
	return &script{on: func(m *script, now time.Time, e session.Event) []session.Action {
		m.events = m.events[:0]
		switch e.Kind {
		case 0:
			return []session.Action{open(0), wake(now.Add(6 * time.Second))}
		case session.Ended:
			return finish()
		case session.Woken, session.Cancelled:
			return finish(0)
		}
		return nil
	}}
}

// atOnce is how many visits run at the same time.
const atOnce = 256

// BenchmarkBanner makes short visits through visitor and engine, and with a
// goroutine each through package net, against a server in another process. It
// tells the CPU time per visit.
func BenchmarkBanner(b *testing.B) {
	addr := startServer(b, "banner")
	b.Run("visitor", func(b *testing.B) {
		v := newTest(b, realLoops(b), nil, func(probes.Endpoint) *script { return hears() })
		defer v.Close()
		countCPU(b, func(done func(string)) {
			v.Begin(endpoint(addr, probes.TCP), session.Remembered{},
				func(o probes.Observation) { done(o.Reason) })
		})
	})
	b.Run("net", func(b *testing.B) {
		countCPU(b, func(done func(string)) {
			go func() {
				c, err := net.DialTimeout("tcp", addr.String(), 2*time.Second)
				if err != nil {
					done(err.Error())
					return
				}
				defer c.Close()
				c.SetReadDeadline(time.Now().Add(6 * time.Second))
				text, _ := io.ReadAll(c)
				done(string(text))
			}()
		})
	})
}

func countCPU(b *testing.B, visit func(done func(string))) {
	b.ReportAllocs()
	slots := make(chan struct{}, atOnce)
	var running sync.WaitGroup
	before := cpuTime(b)
	for b.Loop() {
		slots <- struct{}{}
		running.Add(1)
		visit(func(text string) {
			if text != banner {
				b.Errorf("heard %q", text)
			}
			<-slots
			running.Done()
		})
	}
	running.Wait()
	b.ReportMetric(float64(cpuTime(b)-before)/float64(time.Microsecond)/float64(b.N), "cpu-us/visit")
}

// BenchmarkSilentPeers holds 10,000 visits to peers that accept and stay silent,
// all at once, and tells the memory of the process.
func BenchmarkSilentPeers(b *testing.B) {
	const peers = 10_000
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur < peers+500 {
		b.Skipf("%d open files are allowed (%v), too few", files.Cur, err)
	}
	addr := startServer(b, "silent")
	for b.Loop() {
		opened := make(chan struct{}, peers)
		v := newTest(b, realLoops(b), nil, func(probes.Endpoint) *script {
			m := hears()
			hear := m.on
			m.on = func(m *script, now time.Time, e session.Event) []session.Action {
				if e.Kind == session.Opened {
					opened <- struct{}{}
					return []session.Action{wake(now.Add(time.Minute))}
				}
				return hear(m, now, e)
			}
			return m
		})
		before := cpuTime(b)
		for range peers {
			v.Begin(endpoint(addr, probes.TCP), session.Remembered{}, func(probes.Observation) {})
		}
		for range peers {
			<-opened
		}
		spent := cpuTime(b) - before
		runtime.GC()
		b.ReportMetric(residentMiB(b), "rss-MiB")
		b.ReportMetric(float64(spent/time.Microsecond)/peers, "cpu-us/visit")
		v.Close()
	}
}

// residentMiB is the memory that the process holds.
func residentMiB(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip(err)
	}
	var size, resident int
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		b.Fatal(err)
	}
	return float64(resident*os.Getpagesize()) / (1 << 20)
}
