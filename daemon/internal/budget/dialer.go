package budget

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// A Dialer opens connections within the numbers of open connections of a
// Limiter. It does not pace: call [Limiter.Pace] before.
type Dialer struct {
	Limiter *Limiter
	Dial    func(ctx context.Context, network, address string) (net.Conn, error) // nil: a plain net.Dialer
}

// DialContext waits for room, then dials. The address must be an IP address
// and a port: names are not looked up. The connection counts until it is
// closed.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	release, err := d.Limiter.Conn(ctx, to.Addr())
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	dial := d.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	c, err := dial(ctx, network, address)
	if err != nil {
		release()
		return nil, err // names operation and address itself
	}
	return &conn{c, release}, nil
}

// A conn gives its room back when it is closed.
type conn struct {
	net.Conn
	release func()
}

// Close closes the connection, then gives its room back, once.
func (c *conn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// NetConn gives the connection that was dialled, for who needs its type.
func (c *conn) NetConn() net.Conn { return c.Conn }
