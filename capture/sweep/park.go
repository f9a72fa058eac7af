package sweep

import (
	"net/netip"
	"time"
)

// parkedMost bounds the targets that wait for the budget of their hosts, 16
// bytes and their share of a host's entry each: some 5 MiB if every one is of
// another host. When so many wait the walk does.
const parkedMost = 1 << 16

// A park holds targets until their hosts may be sent a packet again. It belongs
// to the sender.
type park struct {
	hosts map[netip.Addr]*parkedHost
	queue []*parkedHost // a heap by ready
	n     int           // targets
}

type parkedHost struct {
	addr    netip.Addr
	ready   time.Time
	targets []target // first come, first served, from head on
	head    int
}

// next is the target whose turn it is at the host.
func (h *parkedHost) next() target { return h.targets[h.head] }

// full says that no more can be parked.
func (p *park) full() bool { return p.n >= parkedMost }

// busy says whether targets of the host wait already.
func (p *park) busy(a netip.Addr) bool { return p.n > 0 && p.hosts[a] != nil }

// put parks a target until its host is ready.
func (p *park) put(a netip.Addr, t target, ready time.Time) {
	if p.hosts == nil {
		p.hosts = map[netip.Addr]*parkedHost{}
	}
	h := p.hosts[a]
	if h == nil {
		h = &parkedHost{addr: a, ready: ready}
		p.hosts[a] = h
		p.queue = append(p.queue, h)
		p.up(len(p.queue) - 1)
	}
	h.targets = append(h.targets, t)
	t.c.parked++
	p.n++
}

// first gives the host that is ready first, or nil.
func (p *park) first() *parkedHost {
	if len(p.queue) == 0 {
		return nil
	}
	return p.queue[0]
}

// pop takes the next target of the first host, which may be sent its next at
// ready.
func (p *park) pop(ready time.Time) target {
	h := p.queue[0]
	t := h.targets[h.head]
	h.head++
	p.n--
	t.c.parked--
	if h.head == len(h.targets) {
		delete(p.hosts, h.addr)
		last := len(p.queue) - 1
		p.queue[0] = p.queue[last]
		p.queue[last] = nil
		p.queue = p.queue[:last]
	} else {
		h.ready = ready
		if h.head >= 64 && 2*h.head >= len(h.targets) {
			h.targets = append(h.targets[:0], h.targets[h.head:]...)
			h.head = 0
		}
	}
	p.down(0)
	return t
}

// postpone lets the first host wait longer.
func (p *park) postpone(ready time.Time) {
	p.queue[0].ready = ready
	p.down(0)
}

func (p *park) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !p.queue[i].ready.Before(p.queue[parent].ready) {
			return
		}
		p.queue[i], p.queue[parent] = p.queue[parent], p.queue[i]
		i = parent
	}
}

func (p *park) down(i int) {
	for {
		least := i
		for _, kid := range []int{2*i + 1, 2*i + 2} {
			if kid < len(p.queue) && p.queue[kid].ready.Before(p.queue[least].ready) {
				least = kid
			}
		}
		if least == i {
			return
		}
		p.queue[i], p.queue[least] = p.queue[least], p.queue[i]
		i = least
	}
}
