package sweep

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"
)

// hostBurst packets may go to one host at once: what a connection begins with.
const hostBurst = 4

// hostDebt is how many packets a host may owe for resets that were sent to it
// unasked: a host that sends SYN-ACKs without end is answered no further.
const hostDebt = 64

// The table of hosts grows from hostsLeast to hostsMost slots of 16 bytes
// (32 MiB). A host needs a slot until its burst is full again. Each packet
// takes 1/rate seconds of that, so no more than R/rate hosts do at R packets/s
// in all: 25,000 at a million and 40.
const (
	hostsLeast = 1 << 10
	hostsMost  = 1 << 21
)

// Hosts is a HostPacer of its own: in each span of time w at most rate × w + 4
// packets are granted to a host, and resets are counted against it. Hosts that
// share a 64-bit hash share a budget.
type Hosts struct {
	interval int64 // between two packets, in nanoseconds
	began    time.Time
	seed     uint64

	mu    sync.Mutex // guards what follows
	slots []hostSlot // a power of two, open addressing
	used  int        // slots that are not empty
}

type hostSlot struct {
	key  uint64 // 0: empty
	next int64  // when what was sent is paid for, since began
}

// NewHosts makes the budget of that many packets per second and host, at
// least 1.
func NewHosts(perSecond int) *Hosts {
	return &Hosts{interval: int64(interval(perSecond)),
		began: time.Now().Add(-time.Hour), seed: rand.Uint64(), slots: make([]hostSlot, hostsLeast)}
}

// Take is HostPacer's.
func (h *Hosts) Take(host [16]byte) time.Duration {
	now := int64(time.Since(h.began))
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.slot(host, now)
	if s == nil {
		return time.Duration(h.interval)
	}
	next := max(s.next, now-hostBurst*h.interval) + h.interval
	if next > now {
		return time.Duration(next - now)
	}
	s.next = next
	return 0
}

// Charge is HostPacer's.
func (h *Hosts) Charge(host [16]byte) bool {
	now := int64(time.Since(h.began))
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.slot(host, now)
	if s == nil || s.next > now+hostDebt*h.interval {
		return false
	}
	s.next = max(s.next, now-hostBurst*h.interval) + h.interval
	return true
}

// slot finds the host's slot or makes one; it is nil if no more hosts can be
// held. The caller holds h.mu.
func (h *Hosts) slot(host [16]byte, now int64) *hostSlot {
	x := (binary.LittleEndian.Uint64(host[:8]) ^ h.seed) * 0x9e3779b97f4a7c15
	x = (x ^ x>>32 ^ binary.LittleEndian.Uint64(host[8:])) * 0xbf58476d1ce4e5b9
	key := (x^x>>29)*0x94d049bb133111eb | 1
	if 2*h.used >= len(h.slots) && !h.grow(now) {
		return nil
	}
	return h.find(key)
}

// find gives the slot of a key, which it takes if it is new.
func (h *Hosts) find(key uint64) *hostSlot {
	mask := uint64(len(h.slots) - 1)
	for i := key >> 20 & mask; ; i = (i + 1) & mask {
		s := &h.slots[i]
		if s.key == key {
			return s
		}
		if s.key == 0 {
			h.used++
			s.key, s.next = key, -hostBurst*h.interval
			return s
		}
	}
}

// grow forgets the hosts whose burst is full, and makes the table twice as
// large if that leaves more than a quarter of it in use.
func (h *Hosts) grow(now int64) bool {
	full := now - hostBurst*h.interval
	live := 0
	for i := range h.slots {
		if s := &h.slots[i]; s.key != 0 && s.next > full {
			live++
		}
	}
	size := len(h.slots)
	if 4*live > size {
		if size == hostsMost {
			return 2*live < size && h.rebuild(size, full)
		}
		size *= 2
	}
	return h.rebuild(size, full)
}

func (h *Hosts) rebuild(size int, full int64) bool {
	old := h.slots
	h.slots, h.used = make([]hostSlot, size), 0
	for i := range old {
		if s := &old[i]; s.key != 0 && s.next > full {
			h.find(s.key).next = s.next
		}
	}
	return true
}
