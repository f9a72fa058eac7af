package visitor

import (
	"net/netip"
	"time"

	"sonde/probes"
)

// A Contact is one connection, or one UDP socket from which something was sent,
// that a visit had with its endpoint: what the other side can have seen of us.
// Where the engine does not know the address of a connect that failed, that one
// is missing; on Linux it does.
type Contact struct {
	Begun, Ended time.Time // of the connect, or of the socket
	Transport    probes.Transport
	// Local is where it came from; of UDP the port alone.
	Local  netip.AddrPort
	Remote netip.AddrPort
	// Interface is the one that it was bound to, "" for none.
	Interface string
	// Said is what was sent, in order, by names: a probe of the database, or
	// one of session.Said…. It is no more than maxSaid long, which no
	// conversation within the default budgets reaches.
	Said []string
	// End is why it ended, where that was not our wish: a refusal, a reset, a
	// connect that took too long, the peer's close.
	End error
}

const maxSaid = 256

// note keeps what was sent.
func (c *conn) note(what string) {
	if c.contacts != nil && len(c.said) < maxSaid {
		c.said = append(c.said, what)
	}
}

// tellContact tells of what is over now. A connection without an address of ours
// sent nothing: it waited for descriptors, or was out of the scope.
func (c *conn) tellContact() {
	local := c.engine.Local()
	if c.contacts == nil || !local.IsValid() || c.udp() && len(c.said) == 0 {
		return
	}
	c.contacts(Contact{Begun: c.begun, Ended: c.loop.Now(), Transport: c.ep.Transport,
		Local: local, Remote: c.dial.Remote, Interface: c.dial.Interface, Said: c.said, End: c.end})
}
