package visitor

import (
	"sonde/probes/session"
	"sonde/probes/sshkey"
)

// readKey begins a key exchange with an SSH server on c.
func (c *conn) readKey(a *session.Action) {
	if c.engine == nil || c.tunnel != nil {
		return // the machine breaks its word
	}
	t := c.newTunnel(a)
	c.alive.Go(t.exchangeKeys)
}

// exchangeKeys is the goroutine of a key exchange.
func (t *tunnel) exchangeKeys() {
	defer t.bridge.leave()
	key, err := sshkey.Read(t.bridge)
	e := &session.KeyExchange{HostKey: key}
	e.BytesOut, e.BytesIn = t.bridge.shaken()
	t.bridge.shut() // so that the library's own goroutines end
	t.hand(func() { t.shown(e, err) })
}

// shown tells what came of it, and closes the connection.
func (t *tunnel) shown(e *session.KeyExchange, err error) {
	if t.closed {
		return
	}
	t.limit.Stop()
	t.drain() // our goodbye still goes out
	t.tell(t.conn, session.Event{Kind: session.Shown, Key: e, Err: err})
	t.closed = true
}
