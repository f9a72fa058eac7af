package engine_test

import (
	"bufio"
	"context"
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
	"testing"
	"time"

	"sonde/probes/engine"
)

// banner is what the peers of the benchmark say: 40 bytes.
const banner = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"

const bannerServer = "ENGINE_TEST_BANNERS"

// TestBannerServer is the peer of BenchmarkConversation, in a process of its
// own, so that its time is not counted.
func TestBannerServer(t *testing.T) {
	if os.Getenv(bannerServer) == "" {
		return // not the child
	}
	var addrs []string
	for i := range 4 { // four times as many ports before one comes again
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.%d:0", 1+i))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		addrs = append(addrs, ln.Addr().String())
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				io.WriteString(c, banner)
				c.Close()
			}
		}()
	}
	fmt.Println("serving", strings.Join(addrs, " "))
	io.Copy(io.Discard, os.Stdin) // until the parent is done
}

func startBannerServer(b *testing.B) []netip.AddrPort {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestBannerServer$")
	cmd.Env = append(os.Environ(), bannerServer+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	rest, ok := strings.CutPrefix(line, "serving ")
	if !ok {
		b.Fatalf("server says %q, %v", line, err)
	}
	var to []netip.AddrPort
	for f := range strings.FieldsSeq(rest) {
		to = append(to, netip.MustParseAddrPort(f))
	}
	return to
}

// inFlight is how many conversations are held at once.
const inFlight = 200

// BenchmarkConversation connects, takes 40 bytes and the end, and closes: over
// epoll, over the portable engine, and as one writes it with Go's net and a
// goroutine each.
func BenchmarkConversation(b *testing.B) {
	to := startBannerServer(b)
	runs := []struct {
		name string
		run  func(b *testing.B, to []netip.AddrPort)
	}{
		{"system", func(b *testing.B, to []netip.AddrPort) {
			converse(b, openSystem(b, engine.Config{}), to)
		}},
		{"portable", func(b *testing.B, to []netip.AddrPort) {
			converse(b, openNet(b, engine.Config{}), to)
		}},
		{"goroutines", goroutines},
	}
	for _, r := range runs {
		b.Run(r.name, func(b *testing.B) {
			b.ReportAllocs()
			before := cpuTime()
			r.run(b, to)
			b.ReportMetric(float64((cpuTime()-before).Microseconds())/float64(b.N), "cpu-µs/conn")
		})
	}
}

// A visitor visits one address after the other.
type visitor struct {
	l    engine.Loop
	to   []netip.AddrPort
	next func() (int, bool)
	conn engine.Conn
	got  int
	b    *testing.B
	done *sync.WaitGroup
}

func (v *visitor) visit() {
	i, ok := v.next()
	if !ok {
		v.done.Done()
		return
	}
	v.got = 0
	v.conn = v.l.Open(engine.Dial{Network: "tcp", Remote: v.to[i%len(v.to)], Timeout: 10 * time.Second}, v)
}

func (v *visitor) Opened(time.Duration)                {}
func (v *visitor) Received(p []byte, _ netip.AddrPort) { v.got += len(p) }
func (v *visitor) Sent()                               {}
func (v *visitor) Rejected(error, netip.AddrPort)      {}
func (v *visitor) Ended(err error) {
	if !errors.Is(err, io.EOF) || v.got != len(banner) {
		v.b.Errorf("%d bytes, then %v", v.got, err)
	}
	v.visit()
}

// counter gives the numbers below n, once each.
func counter(n int) func() (int, bool) {
	var mu sync.Mutex
	i := 0
	return func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		i++
		return i, i <= n
	}
}

func converse(b *testing.B, e *engine.Engine, to []netip.AddrPort) {
	defer e.Close()
	next := counter(b.N)
	var done sync.WaitGroup
	done.Add(inFlight)
	for i := range inFlight {
		l := e.Loops()[i%len(e.Loops())]
		v := &visitor{l: l, to: to, next: next, b: b, done: &done}
		l.Post(v.visit)
	}
	done.Wait()
}

func goroutines(b *testing.B, to []netip.AddrPort) {
	next := counter(b.N)
	var done sync.WaitGroup
	for range inFlight {
		done.Go(func() {
			for i, ok := next(); ok; i, ok = next() {
				if err := goConversation(to[i%len(to)]); err != nil {
					b.Error(err)
				}
			}
		})
	}
	done.Wait()
}

// goConversation is one conversation, with a goroutine of its own, as each
// waiting connection has one.
func goConversation(to netip.AddrPort) error {
	result := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		d := net.Dialer{KeepAlive: -1}
		c, err := d.DialContext(ctx, "tcp", to.String())
		if err != nil {
			result <- err
			return
		}
		defer c.Close()
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		got := 0
		buf := make([]byte, 4<<10)
		for {
			n, err := c.Read(buf)
			got += n
			if errors.Is(err, io.EOF) && got == len(banner) {
				result <- nil
				return
			}
			if err != nil {
				result <- err
				return
			}
		}
	}()
	return <-result
}

// BenchmarkIdle holds connections that wait for a silent peer.
func BenchmarkIdle(b *testing.B) {
	for name, open := range map[string]func(testing.TB, engine.Config) *engine.Engine{
		"system": openSystem, "portable": openNet,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				e := open(b, engine.Config{Loops: 1})
				before := heap()
				idle(b, e, "tcp", idleConns)
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				each := float64(heap()-before+m.StackInuse) / idleConns
				b.ReportMetric(each, "B/idle-conn")
				e.Close()
			}
		})
	}
}
