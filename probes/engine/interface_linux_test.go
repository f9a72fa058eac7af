package engine_test

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"sonde/probes/engine"
)

// fate notes what becomes of one connection.
type fate struct{ told chan error }

func (f *fate) Opened(time.Duration)          { f.told <- nil }
func (*fate) Received([]byte, netip.AddrPort) {}
func (*fate) Sent()                           {}
func (*fate) Rejected(error, netip.AddrPort)  {}
func (f *fate) Ended(err error)               { f.told <- err }

// TestInterfaceOfASocket: a socket goes by the interface that it is to, or not at
// all; an engine that cannot bind one refuses.
func TestInterfaceOfASocket(t *testing.T) {
	if err := engine.MayBind(); errors.Is(err, syscall.EPERM) {
		t.Skipf("skipped: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	to := netip.MustParseAddrPort(l.Addr().String())
	for _, c := range []struct {
		name string
		open func(testing.TB, engine.Config) *engine.Engine
		via  string
		want error
	}{
		{"bound", openSystem, "lo", nil},
		{"not there", openSystem, "no-such-link0", syscall.ENODEV},
		{"portable", openNet, "lo", errors.ErrUnsupported},
	} {
		e := c.open(t, engine.Config{Loops: 1})
		loop := e.Loops()[0]
		for _, network := range []string{"tcp", "udp"} {
			f := &fate{make(chan error, 2)}
			loop.Post(func() {
				loop.Open(engine.Dial{Network: network, Remote: to, Timeout: time.Second, Interface: c.via}, f)
			})
			if err := <-f.told; !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("%s over %s: %v, want %v", c.name, network, err, c.want)
			}
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}
