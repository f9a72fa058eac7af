package control

import "net"

// unknownPeer is a user whom the system does not tell.
const unknownPeer = "unknown"

// A peerListener notes who connects, as the system tells it, in the connections'
// remote addresses: that is where HTTP handlers find it.
type peerListener struct{ net.Listener }

// Accept implements net.Listener.
func (l peerListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if u, ok := c.(*net.UnixConn); ok {
		return peerConn{c, peer(peerOf(u))}, nil
	}
	return c, nil
}

// peer is the user at the other end: "uid 1000".
type peer string

// Network implements net.Addr.
func (peer) Network() string { return "unix" }

// String implements net.Addr.
func (p peer) String() string { return string(p) }

type peerConn struct {
	net.Conn
	who peer
}

// RemoteAddr implements net.Conn.
func (c peerConn) RemoteAddr() net.Addr { return c.who }
