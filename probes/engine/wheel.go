package engine

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"time"
)

// A wheel keeps the timers of one loop: a hierarchy of rings of slots (Varghese
// and Lauck, scheme 7). Setting and stopping a timer takes constant time and no
// allocation; time without timers costs nothing, however long.
//
// Times are durations since the loop began. A timer never runs early, and up to
// one wheelTick late. Those that are due in one turn run in the order of their
// times, and among equals in the order in which they were set.
type wheel struct {
	tick  int64 // all ticks up to this one have been looked at
	rings [wheelLevels]ring
	soon  *timer // due in the coming turn
	due   []*timer
	seq   uint64
}

const (
	// wheelTick is as fine as epoll_wait sleeps.
	wheelTick = time.Millisecond

	wheelBits = 6
	// wheelSlots is as many as the bits of a ring's index word.
	wheelSlots = 1 << wheelBits
	// wheelLevels rings reach 64^5 ticks, twelve days. What lies further goes
	// once round the last ring and is looked at again.
	wheelLevels = 5
	wheelReach  = 1 << (wheelBits * wheelLevels)
)

// A ring is one level: a slot of level n is 64^n ticks wide.
type ring struct {
	used  uint64 // bit i: slot i has timers
	slots [wheelSlots]*timer
}

// An expirer is told that its timer is due.
type expirer interface{ expired() }

// A timer is part of what it wakes, so that it needs no memory of its own.
// Until prepare it must not be used.
type timer struct {
	w          *wheel
	e          expirer
	at         time.Duration
	seq        uint64
	next, prev *timer
	where      place
	level      int8
	slot       int8
	index      int32 // in wheel.due
}

// A place says which list a timer is in.
type place uint8

const (
	nowhere place = iota
	inRing
	inSoon
	inDue
)

func (t *timer) prepare(w *wheel, e expirer) { t.w, t.e = w, e }

// set makes t due at the time at, and not at any time set before.
func (t *timer) set(at time.Duration) {
	t.stop()
	t.at, t.seq = at, t.w.seq
	t.w.seq++
	t.w.insert(t)
}

// stop makes t not due. It may be called at any time.
func (t *timer) stop() {
	switch t.where {
	case nowhere:
	case inDue:
		t.w.due[t.index] = nil
	case inSoon:
		t.unlink(&t.w.soon)
	case inRing:
		r := &t.w.rings[t.level]
		t.unlink(&r.slots[t.slot])
		if r.slots[t.slot] == nil {
			r.used &^= 1 << t.slot
		}
	}
	t.where = nowhere
}

func (t *timer) link(head **timer) {
	t.prev, t.next = nil, *head
	if t.next != nil {
		t.next.prev = t
	}
	*head = t
}

func (t *timer) unlink(head **timer) {
	if t.prev == nil {
		*head = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.prev, t.next = nil, nil
}

// insert puts t into the finest ring that reaches its time.
func (w *wheel) insert(t *timer) {
	tick := int64((t.at + wheelTick - 1) / wheelTick)
	if t.at > math.MaxInt64-wheelTick {
		tick = math.MaxInt64
	}
	ahead := tick - w.tick
	if ahead <= 0 {
		t.where = inSoon
		t.link(&w.soon)
		return
	}
	if ahead >= wheelReach {
		tick = w.tick + wheelReach - 1
		ahead = wheelReach - 1
	}
	level := (bits.Len64(uint64(ahead)) - 1) / wheelBits
	slot := (tick >> (wheelBits * level)) & (wheelSlots - 1)
	r := &w.rings[level]
	r.used |= 1 << slot
	t.where, t.level, t.slot = inRing, int8(level), int8(slot)
	t.link(&r.slots[slot])
}

// never is later than all times.
const never = time.Duration(math.MaxInt64)

// next is when the wheel has to be looked at again.
func (w *wheel) next() time.Duration {
	if w.soon != nil {
		return time.Duration(w.tick) * wheelTick
	}
	if tick := w.nextTick(); tick < math.MaxInt64 {
		return time.Duration(tick) * wheelTick
	}
	return never
}

// nextTick is the first tick at which a slot has to be emptied: of level 0
// because its timers are due, of the others to spread them over finer rings.
func (w *wheel) nextTick() int64 {
	first := int64(math.MaxInt64)
	for level := range w.rings {
		used := w.rings[level].used
		if used == 0 {
			continue
		}
		shift := wheelBits * level
		slot := w.tick>>shift + 1 // the next that begins
		used = bits.RotateLeft64(used, -int(slot&(wheelSlots-1)))
		slot += int64(bits.TrailingZeros64(used))
		first = min(first, slot<<shift)
	}
	return first
}

// advance runs what is due at the time now. A timer that is set meanwhile waits
// for the next turn, so that advance ends.
func (w *wheel) advance(now time.Duration) {
	w.collect(int64(now / wheelTick))
	for i := 0; i < len(w.due); i++ {
		if t := w.due[i]; t != nil {
			w.due[i] = nil
			t.where = nowhere
			t.e.expired()
		}
	}
	w.due = w.due[:0]
}

// collect moves what is due up to a tick to w.due, in order.
func (w *wheel) collect(until int64) {
	for {
		tick := w.nextTick()
		if tick > until {
			break
		}
		w.tick = tick
		for level := wheelLevels - 1; level >= 0; level-- {
			shift := wheelBits * level
			if tick&(1<<shift-1) == 0 {
				w.spread(level, tick>>shift&(wheelSlots-1))
			}
		}
	}
	w.tick = max(w.tick, until)
	for w.soon != nil {
		t := w.soon
		t.unlink(&w.soon)
		t.where = inDue
		w.due = append(w.due, t)
	}
	slices.SortFunc(w.due, func(a, b *timer) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.seq, b.seq))
	})
	for i, t := range w.due {
		t.index = int32(i)
	}
}

// spread inserts the timers of a slot anew, nearer than before.
func (w *wheel) spread(level int, slot int64) {
	r := &w.rings[level]
	list := r.slots[slot]
	r.slots[slot] = nil
	r.used &^= 1 << slot
	for list != nil {
		t := list
		list = t.next
		w.insert(t)
	}
}
