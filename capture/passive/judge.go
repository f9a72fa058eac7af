package passive

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// A judge decides what is told. It is shared by all sockets, as on a mirror a
// request may pass on one interface and its answer on another.
type judge struct {
	contains Contains
	hash     hasher
	count    counters
	// out has a buffer and is never closed. When it is full a sighting is not
	// told and not remembered, so that the next of its kind is.
	out chan Sighting

	mu        sync.Mutex // guards what follows
	flows     *recent
	endpoints *recent
	hosts     *recent
	rates     *rates
	addresses addresses
}

func newJudge(cfg *Config) *judge {
	h := hasher{maphash.MakeSeed()}
	return &judge{
		contains: cfg.Contains, hash: h, out: make(chan Sighting, roomMost),
		flows:     newRecent(flowSlots, flowKeep),
		endpoints: newRecent(endpointSlots, cfg.Again),
		hosts:     newRecent(hostSlots, againHost*cfg.Again),
		rates:     newRates(cfg.PerSecond, h),
		addresses: addresses{last: map[netip.Addr]time.Time{}, most: addressesMost},
	}
}

// A request is the first packet of a flow; the answer to TCP's must acknowledge
// seq + 1.
type request struct {
	network        string
	client, server netip.AddrPort
	seq            uint32
}

// requested notes that a client asks a server in the scope.
func (j *judge) requested(r *request, now time.Time) {
	if !j.contains(r.server.Addr(), r.network, r.server.Port()) {
		j.count.outside.Add(1)
		return
	}
	key := j.hash.flow(r)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.flows.put(key, now)
	j.count.begun.Add(1)
}

// answered tells of a server that answered the request r, and says whether that
// was seen. Where it was not, a sighting that comes alone is told if loner is
// set.
func (j *judge) answered(s *Sighting, r *request, loner bool) bool {
	if !j.contains(s.AddrPort.Addr(), s.Network, s.AddrPort.Port()) {
		j.count.outside.Add(1)
		return false
	}
	key := j.hash.flow(r)
	j.mu.Lock()
	defer j.mu.Unlock()
	s.Begun = j.flows.has(key, s.At)
	switch {
	case s.Begun:
		j.service(s, begun)
	case loner:
		j.service(s, bare)
	default:
		j.count.unasked.Add(1)
	}
	return s.Begun
}

// claimed tells of a service that was announced.
func (j *judge) claimed(s *Sighting) {
	if !j.contains(s.AddrPort.Addr(), s.Network, s.AddrPort.Port()) {
		j.count.outside.Add(1)
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.service(s, announced)
}

// service tells of an endpoint, unless it was told a while ago for a reason as
// good: what is easy to forge must not keep what is not from being told.
func (j *judge) service(s *Sighting, c class) {
	key := j.hash.endpoint(c, s)
	if j.endpoints.has(key, s.At) ||
		c != begun && j.endpoints.has(j.hash.endpoint(begun, s), s.At) {
		j.repeated(s)
		return
	}
	j.tell(s, c, j.endpoints, key)
}

// host tells of a host.
func (j *judge) host(s *Sighting) {
	if !j.contains(s.AddrPort.Addr(), "", 0) {
		j.count.outside.Add(1)
		return
	}
	key := j.hash.host(s)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.hosts.has(key, s.At) {
		j.repeated(s)
		return
	}
	j.tell(s, host, j.hosts, key)
}

func (j *judge) repeated(s *Sighting) {
	j.count.repeated.Add(1)
	j.addresses.again(s.AddrPort.Addr(), s.At)
}

func (j *judge) tell(s *Sighting, c class, told *recent, key uint64) {
	if len(j.out) == cap(j.out) { // only we put in, and hold the lock
		j.count.untaken.Add(1)
		return
	}
	if !j.rates.take(c, s.AddrPort.Addr(), s.At) {
		j.count.suppressed.Add(1)
		return
	}
	told.put(key, s.At)
	if a := s.AddrPort.Addr(); a.Is6() {
		j.addresses.seen(a, s.At)
	}
	j.count.sightings.Add(1)
	j.out <- *s
}

// seen gives the IPv6 addresses of hosts that were told and still are seen.
func (j *judge) seen(now time.Time) []netip.Addr {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.addresses.list(now)
}
