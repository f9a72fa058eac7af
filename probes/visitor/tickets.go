package visitor

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"sonde/probes/tlsprobe"
)

// ticketAge is how long after a full handshake its tickets are given back: a
// certificate that was changed is seen within a day, as is all that is asked
// beside the identity.
const ticketAge = 24 * time.Hour

// maxTickets bounds the memory for tickets, in bytes: that is 4,000 servers up
// to TLS 1.2 with a chain of two certificates and a ticket, 4 KiB. Who comes
// when it is full shakes hands in full: were the oldest forgotten instead, a
// round over a few more servers than fit would find none.
const maxTickets = 16 << 20

// ticketCost is what a ticket takes beside its bytes: its key with a name of
// usual length, and its places in the map and the list.
const ticketCost = 256

// A ticketKey is for whom a ticket is. A server with several names may have a
// certificate for each.
type ticketKey struct {
	at   netip.AddrPort
	name string
}

// tickets keeps those of TLS servers. It may be used by any number of
// goroutines.
type tickets struct {
	mu    sync.Mutex
	known map[ticketKey]*list.Element // of keptTicket
	order list.List                   // by the time of the full handshake
	size  int
}

type keptTicket struct {
	key    ticketKey
	ticket tlsprobe.Ticket // empty: the server is not good at them
	full   time.Time       // when the certificate was read, by the wall clock
}

// get gives the ticket of a server, or an empty one, which asks for one; or
// nothing for a server that is to be spared both.
func (ts *tickets) get(k ticketKey, now time.Time) *tlsprobe.Ticket {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	e := ts.known[k]
	if e == nil {
		return new(tlsprobe.Ticket)
	}
	kept := e.Value.(*keptTicket)
	switch {
	case !kept.fresh(now):
		ts.remove(e)
		return new(tlsprobe.Ticket)
	case kept.ticket.Size() == 0:
		return nil
	}
	copied := kept.ticket
	return &copied
}

// fresh reports whether the ticket may be used. A clock that was set back tells
// no age.
func (k *keptTicket) fresh(now time.Time) bool {
	age := now.Round(0).Sub(k.full)
	return age >= 0 && age < ticketAge
}

// put keeps the ticket that a handshake has left, or forgets the one before if
// there is none. What a resumed session leaves is as old as that.
func (ts *tickets) put(k ticketKey, t tlsprobe.Ticket, resumed bool, now time.Time) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	before := ts.known[k]
	switch {
	case before != nil && resumed && t.Size() > 0:
		kept := before.Value.(*keptTicket)
		ts.size += t.Size() - kept.ticket.Size()
		kept.ticket = t
		return
	case before != nil:
		ts.remove(before)
	}
	if t.Size() > 0 && !resumed {
		ts.add(k, t, now)
	}
}

// add is for who holds mu.
func (ts *tickets) add(k ticketKey, t tlsprobe.Ticket, now time.Time) {
	need := t.Size() + ticketCost
	for e := ts.order.Front(); e != nil && ts.size+need > maxTickets; e = ts.order.Front() {
		if e.Value.(*keptTicket).fresh(now) {
			return
		}
		ts.remove(e)
	}
	if ts.known == nil {
		ts.known = map[ticketKey]*list.Element{}
	}
	ts.known[k] = ts.order.PushBack(&keptTicket{key: k, ticket: t, full: now.Round(0)})
	ts.size += need
}

// spare drops the ticket of a server that does not take them well. It gets no
// other one for a day, so that its visits take one connection.
func (ts *tickets) spare(k ticketKey, now time.Time) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if e := ts.known[k]; e != nil {
		ts.remove(e)
	}
	ts.add(k, tlsprobe.Ticket{}, now)
}

// remove is for who holds mu.
func (ts *tickets) remove(e *list.Element) {
	kept := ts.order.Remove(e).(*keptTicket)
	delete(ts.known, kept.key)
	ts.size -= kept.ticket.Size() + ticketCost
}
