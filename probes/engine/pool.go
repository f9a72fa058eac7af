package engine

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Stats is what the sockets of an engine are doing, and what they lacked.
type Stats struct {
	Open     int // sockets held now
	Waiting  int // connections that wait for resources now
	Limit    int // Config.MaxSockets, and …
	Capacity int // … what of it the system granted of late

	// How often the system refused a socket for want of …
	Files   uint64 // … descriptors (EMFILE, ENFILE),
	Ports   uint64 // … source ports (EADDRNOTAVAIL, EAGAIN),
	Buffers uint64 // … memory or buffers (ENOBUFS, ENOMEM, ENOSPC).

	// Foreign counts datagrams and ICMP errors that were dropped because they
	// were not of the host that was asked.
	Foreign uint64
}

// A pool shares the sockets out among the loops of an engine.
type pool struct {
	log     *slog.Logger
	limit   int
	loops   []runner     // set before the first use
	waiting atomic.Int64 // changed by the loops
	foreign atomic.Uint64

	mu       sync.Mutex // guards what follows
	open     int
	capacity int
	grown    time.Time // when capacity was last changed
	short    time.Time // when something was last short
	counts   [shortOfBuffers + 1]uint64
}

// After a shortage of descriptors or buffers there is room for as many sockets
// as were open then. The room grows by 1/growPart every growEvery, so that it
// doubles in some 23 s: whoever took what we lack may give it back, and asking
// costs one system call.
const (
	growEvery = time.Second
	growPart  = 32
)

// episodeGap without a shortage ends an episode; each is logged once.
const episodeGap = time.Minute

func newPool(cfg Config) *pool {
	return &pool{log: cfg.Log, limit: cfg.MaxSockets, capacity: cfg.MaxSockets}
}

// acquire takes the right to one socket, if there is one left.
func (p *pool) acquire(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.capacity < p.limit && now.Sub(p.grown) >= growEvery {
		p.capacity = min(p.limit, p.capacity+1+p.capacity/growPart)
		p.grown = now
	}
	if p.open >= p.capacity {
		return false
	}
	p.open++
	return true
}

// release gives it back.
func (p *pool) release() {
	p.mu.Lock()
	p.open--
	p.mu.Unlock()
}

// refused gives it back because the system lacks something.
func (p *pool) refused(what shortage, err error, now time.Time) {
	p.mu.Lock()
	p.open--
	p.counts[what]++
	// Ports are short towards one address only, which says nothing about the
	// room for others.
	if what != shortOfPorts {
		p.capacity = max(1, min(p.capacity, p.open))
		p.grown = now
	}
	first := now.Sub(p.short) >= episodeGap
	p.short = now
	open := p.open
	p.mu.Unlock()
	if first {
		p.log.Warn("connections wait for local resources",
			"short_of", what.String(), "open", open, "limit", p.limit, "err", err)
	}
}

// count notes a shortage that was met after a socket was there.
func (p *pool) count(what shortage) {
	p.mu.Lock()
	p.counts[what]++
	p.mu.Unlock()
}

// freed tells other loops that there is room for what waits there.
func (p *pool) freed(by runner) {
	if p.waiting.Load() <= 0 {
		return
	}
	for _, l := range p.loops {
		if l != by {
			l.nudge()
		}
	}
}

func (p *pool) stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{
		Open: p.open, Waiting: int(p.waiting.Load()), Limit: p.limit, Capacity: p.capacity,
		Files: p.counts[shortOfFiles], Ports: p.counts[shortOfPorts],
		Buffers: p.counts[shortOfBuffers], Foreign: p.foreign.Load(),
	}
}
