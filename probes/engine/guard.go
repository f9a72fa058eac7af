package engine

import (
	"errors"
	"fmt"
	"net/netip"
)

// ErrNotPermitted ends what a guard does not let through.
var ErrNotPermitted = errors.New("not permitted")

// Guard gives a loop that asks permit right before it opens anything, on the
// loop, and opens nothing where that says no: the connection ends with
// [ErrNotPermitted], and no packet was sent.
func Guard(l Loop, permit func(network string, to netip.AddrPort) bool) Loop {
	return &guarded{l, permit}
}

type guarded struct {
	Loop
	permit func(network string, to netip.AddrPort) bool
}

// Open implements Loop.
func (g *guarded) Open(d Dial, h Handler) Conn {
	if g.permit(d.Network, d.Remote) {
		return g.Loop.Open(d, h)
	}
	c := &refused{}
	g.Post(func() {
		if !c.closed {
			c.closed = true
			h.Ended(fmt.Errorf("open %s socket to %s: %w", d.Network, d.Remote, ErrNotPermitted))
		}
	})
	return c
}

// A refused connection never was. Like others it is used on the loop only.
type refused struct{ closed bool }

func (*refused) Send([]byte)               {}
func (c *refused) Close()                  { c.closed = true }
func (*refused) Local() (a netip.AddrPort) { return a }
