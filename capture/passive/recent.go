package passive

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"time"
)

// ways is how many slots a key may lie in. With tables sized for twice what
// they hold at most, a key is put out of its bucket early about once in a
// hundred times, which costs one sighting that is told once more.
const ways = 8

// A recent is a set of keys that forgets each some time after it was put in,
// in memory that is fixed when it is made: 16 bytes for each slot. Where a
// bucket is full the oldest key in it is forgotten early.
type recent struct {
	slots []recentSlot
	keep  time.Duration
}

type recentSlot struct {
	key uint64 // 0 is no key
	at  int64  // Unix time in nanoseconds
}

// newRecent makes a set of size slots, a power of two and at least ways.
func newRecent(size int, keep time.Duration) *recent {
	return &recent{make([]recentSlot, size), keep}
}

func (r *recent) bucket(key uint64) []recentSlot {
	first := int(key) & (len(r.slots) - 1) &^ (ways - 1)
	return r.slots[first : first+ways : first+ways]
}

// has says whether key was put in within the time that keys are kept. A time
// in the future, after the clock was set back, does not count.
func (r *recent) has(key uint64, now time.Time) bool {
	n := now.UnixNano()
	for _, s := range r.bucket(key) {
		if age := n - s.at; s.key == key && age >= 0 && age < int64(r.keep) {
			return true
		}
	}
	return false
}

// put puts key in, in place of itself, or else of the oldest in its bucket.
func (r *recent) put(key uint64, now time.Time) {
	b := r.bucket(key)
	oldest := 0
	for i := range b {
		if b[i].key == key {
			oldest = i
			break
		}
		if b[i].at < b[oldest].at {
			oldest = i
		}
	}
	b[oldest] = recentSlot{key, now.UnixNano()}
}

// A hasher makes keys that a stranger cannot foresee, so that nobody can fill
// one bucket on purpose.
type hasher struct{ seed maphash.Seed }

// What a key is of, so that keys of different things differ.
const (
	keyFlow byte = 1 + iota
	keyEndpoint
	keyHost
	keyBucket
)

// flow is the key of a request.
func (h hasher) flow(r *request) uint64 {
	var b [2 + 18 + 18 + 4]byte
	b[0], b[1] = keyFlow, r.network[0]
	putAddrPort(b[2:], r.client)
	putAddrPort(b[20:], r.server)
	binary.BigEndian.PutUint32(b[38:], r.seq)
	return h.sum(b[:])
}

// endpoint is the key of a port of a host, told for a reason of class c.
func (h hasher) endpoint(c class, s *Sighting) uint64 {
	var b [3 + 18 + linkMost]byte
	b[0], b[1], b[2] = keyEndpoint, byte(c), s.Network[0]
	putAddrPort(b[3:], s.AddrPort)
	n := copy(b[21:], s.Interface)
	return h.sum(b[:21+n])
}

// linkMost is the longest name of an interface: two of them may hold networks
// with the same addresses, so that a sighting on one says nothing of the other.
const linkMost = 15

// host is the key of what is said of a host: another name or another MAC is
// another thing to tell.
func (h hasher) host(s *Sighting) uint64 {
	var b [1 + 18 + 6 + 1 + linkMost + nameMost]byte
	b[0] = keyHost
	putAddrPort(b[1:], s.AddrPort)
	copy(b[19:], s.MAC[:])
	b[25] = s.Kind[0]
	copy(b[26:26+linkMost], s.Interface)
	n := copy(b[26+linkMost:], s.Name)
	return h.sum(b[:26+linkMost+n])
}

// bucket is the key of a host's tokens in a class.
func (h hasher) bucket(c class, a netip.Addr) uint64 {
	var b [2 + 18]byte
	b[0], b[1] = keyBucket, byte(c)
	putAddrPort(b[2:], netip.AddrPortFrom(a, 0))
	return h.sum(b[:])
}

func (h hasher) sum(b []byte) uint64 {
	return max(1, maphash.Bytes(h.seed, b)) // 0 is no key
}

// putAddrPort writes 18 bytes. The zone is left out.
func putAddrPort(b []byte, a netip.AddrPort) {
	ip := a.Addr().As16()
	copy(b, ip[:])
	b[16], b[17] = byte(a.Port()>>8), byte(a.Port())
}
