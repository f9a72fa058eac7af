package engine_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sonde/probes/engine"
	"sonde/probes/engine/enginetest"
)

// A pipeNet is a network in memory: each connection is a pipe whose other end
// serve plays.
type pipeNet struct {
	serve func(net.Conn)
	fail  func() error
}

func (n *pipeNet) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	if n.fail != nil {
		if err := n.fail(); err != nil {
			return nil, &net.OpError{Op: "dial", Err: err}
		}
	}
	if n.serve == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	ours, theirs := net.Pipe()
	go n.serve(theirs)
	return ours, nil
}

var somewhere = engine.Dial{Network: "tcp", Remote: netip.MustParseAddrPort("192.0.2.1:22"), Timeout: 5 * time.Second}

// inBubble runs a test on a portable engine in synthetic time.
func inBubble(t *testing.T, n *pipeNet, run func(t *testing.T, l engine.Loop, r *enginetest.Recorder)) {
	synctest.Test(t, func(t *testing.T) {
		e, err := engine.NewNet(engine.Config{Loops: 1}, engine.Net{Dialer: n})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		run(t, e.Loops()[0], &enginetest.Recorder{})
	})
}

func TestNetworkInMemory(t *testing.T) {
	n := &pipeNet{serve: func(c net.Conn) {
		io.WriteString(c, "hello")
		io.ReadFull(c, make([]byte, 4))
		time.Sleep(time.Hour)
		c.Close()
	}}
	inBubble(t, n, func(t *testing.T, l engine.Loop, r *enginetest.Recorder) {
		began := time.Now()
		r.OnReceived = func([]byte) { r.Conn.Send([]byte("quit")) }
		l.Post(func() { r.Open(l, somewhere) })
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if r.String() != "Opened Received Sent Ended EOF" || string(r.Data) != "hello" {
			t.Errorf("told %v, %q", r, r.Data)
		}
		if took := r.At.Sub(began); took != time.Hour {
			t.Errorf("took %v of virtual time", took)
		}
	})
}

func TestTimeoutInMemory(t *testing.T) {
	inBubble(t, &pipeNet{}, func(t *testing.T, l engine.Loop, r *enginetest.Recorder) {
		began := time.Now()
		l.Post(func() { r.Open(l, somewhere) })
		time.Sleep(time.Minute)
		synctest.Wait()
		if took := r.At.Sub(began); r.String() != "Ended i/o timeout" || took != somewhere.Timeout {
			t.Errorf("told %v after %v", r, took)
		}
	})
}

// TestWantInMemory: what the network has no socket for is tried again, after
// pauses that double up to a second.
func TestWantInMemory(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENOBUFS, syscall.EADDRNOTAVAIL} {
		t.Run(errno.Error(), func(t *testing.T) {
			tries := 0
			n := &pipeNet{serve: func(c net.Conn) { c.Close() }}
			inBubble(t, n, func(t *testing.T, l engine.Loop, r *enginetest.Recorder) {
				began := time.Now()
				n.fail = func() error {
					if tries++; time.Since(began) < time.Minute {
						return errno
					}
					return nil
				}
				l.Post(func() { r.Open(l, somewhere) })
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if r.String() != "Opened Ended EOF" {
					t.Errorf("told %v", r)
				}
				if took := r.At.Sub(began); took > time.Minute+2*time.Second {
					t.Errorf("ended after %v", took)
				}
				if tries < 50 || tries > 150 {
					t.Errorf("%d tries in a minute of want", tries)
				}
			})
		})
	}
}

func TestSourcePortOfForeignDialer(t *testing.T) {
	inBubble(t, &pipeNet{}, func(t *testing.T, l engine.Loop, r *enginetest.Recorder) {
		d := somewhere
		d.SourcePort = 1023
		l.Post(func() { r.Open(l, d) })
		synctest.Wait()
		if !errors.Is(r.Err, errors.ErrUnsupported) {
			t.Errorf("told %v", r)
		}
	})
}

// slowNet takes a second to notice that nobody wants its connection any more.
type slowNet struct{ gone atomic.Bool }

func (n *slowNet) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	time.Sleep(time.Second)
	n.gone.Store(true)
	return nil, ctx.Err()
}

func TestCloseWaitsForGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &slowNet{}
		e, err := engine.NewNet(engine.Config{Loops: 1}, engine.Net{Dialer: n})
		if err != nil {
			t.Fatal(err)
		}
		r, l := &enginetest.Recorder{}, e.Loops()[0]
		l.Post(func() { r.Open(l, somewhere) })
		synctest.Wait()
		e.Close()
		if !n.gone.Load() || !errors.Is(r.Err, net.ErrClosed) {
			t.Errorf("goroutine gone: %v, told %v", n.gone.Load(), r)
		}
	})
}
