package engine_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"sonde/probes/engine"
)

// ends notes how connections end.
type ends struct{ errs []error }

func (*ends) Opened(time.Duration)            {}
func (*ends) Received([]byte, netip.AddrPort) {}
func (*ends) Sent()                           {}
func (*ends) Rejected(error, netip.AddrPort)  {}
func (e *ends) Ended(err error)               { e.errs = append(e.errs, err) }

// counting is a loop that counts what is opened.
type counting struct {
	engine.Loop
	opened []engine.Dial
}

func (c *counting) Open(d engine.Dial, h engine.Handler) engine.Conn {
	c.opened = append(c.opened, d)
	return c.Loop.Open(d, h)
}

func TestGuard(t *testing.T) {
	real, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := real.Close(); err != nil {
			t.Error(err)
		}
	}()
	inner := &counting{Loop: real.Loops()[0]}
	here := netip.MustParseAddrPort("127.0.0.1:1")
	loop := engine.Guard(inner, func(network string, to netip.AddrPort) bool { return network == "udp" && to == here })
	var refused, closed, let ends
	done := make(chan struct{})
	loop.Post(func() {
		c := loop.Open(engine.Dial{Network: "tcp", Remote: here, Timeout: time.Second}, &refused)
		c.Send([]byte("x"))
		if c.Local().IsValid() {
			t.Error("a connection that never was has an address")
		}
		if len(refused.errs) != 0 {
			t.Error("told within Open")
		}
		loop.Open(engine.Dial{Network: "udp", Remote: netip.AddrPortFrom(here.Addr(), 2)}, &closed).Close()
		c = loop.Open(engine.Dial{Network: "udp", Remote: here}, &let)
		loop.Post(func() { c.Close(); close(done) })
	})
	<-done
	if len(refused.errs) != 1 || !errors.Is(refused.errs[0], engine.ErrNotPermitted) {
		t.Errorf("what is refused ended with %v", refused.errs)
	}
	if len(closed.errs) != 0 || len(let.errs) != 0 {
		t.Errorf("closed: %v, let through: %v", closed.errs, let.errs)
	}
	if len(inner.opened) != 1 || inner.opened[0].Remote != here {
		t.Errorf("opened %v", inner.opened)
	}
}
