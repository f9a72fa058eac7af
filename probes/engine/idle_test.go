package engine_test

import (
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"sonde/probes/engine"
)

// A crowd is one handler of many connections that wait.
type crowd struct {
	opened, want int
	done         chan error
}

func (c *crowd) Opened(time.Duration) {
	if c.opened++; c.opened == c.want {
		c.done <- nil
	}
}
func (c *crowd) Received([]byte, netip.AddrPort) {}
func (c *crowd) Sent()                           {}
func (c *crowd) Rejected(error, netip.AddrPort)  {}
func (c *crowd) Ended(err error) {
	if c.opened < c.want {
		c.done <- err
	}
}

// idle opens n connections that wait for a peer that never speaks. The peer
// never accepts either: the kernel does, so that all memory is the engine's.
func idle(t testing.TB, e *engine.Engine, network string, n int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	to := netip.MustParseAddrPort(ln.Addr().String())
	c := &crowd{want: n, done: make(chan error, n)}
	l := e.Loops()[0]
	// In steps, as the queue of a listener is of SYNs, too.
	for range n / idleStep {
		l.Post(func() {
			for range idleStep {
				l.Open(engine.Dial{Network: network, Remote: to, Timeout: 10 * time.Second}, c)
			}
		})
	}
	if err := <-c.done; err != nil {
		t.Fatalf("after %d connections: %v", c.opened, err)
	}
}

const (
	idleStep  = 100
	idleConns = 2000
	// idleLimit is how much heap a waiting connection may take: its struct,
	// its slot in the table, its timer's and list's links.
	idleLimit = 512
)

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestWaitingCostsNoGoroutineAndNoAllocation(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: the portable engine costs both")
	}
	for _, network := range []string{"tcp", "udp"} {
		t.Run(network, func(t *testing.T) {
			e := openSystem(t, engine.Config{Loops: 1})
			defer e.Close()
			goroutines, before := runtime.NumGoroutine(), heap()
			idle(t, e, network, idleConns)
			if n := runtime.NumGoroutine(); n > goroutines {
				t.Errorf("%d goroutines more", n-goroutines)
			}
			each := float64(int64(heap()-before)) / idleConns
			t.Logf("%.0f bytes of heap per waiting connection", each)
			if each > idleLimit {
				t.Errorf("%.0f bytes of heap per waiting connection, limit %d", each, idleLimit)
			}
			l := e.Loops()[0]
			ran := make(chan struct{}, 1)
			turn := func() { ran <- struct{}{} }
			l.Post(turn)
			<-ran
			if n := testing.AllocsPerRun(200, func() { l.Post(turn); <-ran }); n > 0 {
				t.Errorf("%v allocations per turn", n)
			}
		})
	}
}
