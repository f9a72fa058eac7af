package sensor

import (
	"iter"
	"math"
	"slices"
	"time"
	"unique"

	"sonde/daemon/internal/event"
	"sonde/probes"
	"sonde/probes/session"
)

// A book holds what is known of each endpoint that is there, and counts how each
// watch stands. There may be a million, so that it keeps each in some 130 bytes.
type book struct {
	entries map[event.Compact]entry
	hosts   map[event.Compact][]event.Compact // their endpoints, by the key without transport and port
	watches []*Watch
	numbers map[string]uint16 // of watches
	counts  []*counts         // by that number
}

// An entry is a known in few bytes.
type entry struct {
	visited, verified, refreshed int64 // Unix nanoseconds, never for none
	every                        time.Duration
	remembered                   unique.Handle[session.Remembered]
	outcome                      unique.Handle[probes.Outcome]
	watch                        uint16
	fails                        uint8 // 255 is that or more
	unstable, aside              bool
}

// never is the time of an entry that stands for none.
const never = math.MinInt64

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return t.UnixNano()
}

func timeOf(n int64) time.Time {
	if n == never {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

func newBook(watches []Watch) *book {
	b := &book{entries: map[event.Compact]entry{}, hosts: map[event.Compact][]event.Compact{},
		numbers: map[string]uint16{}}
	for i := range watches {
		w := &watches[i]
		b.numbers[w.Name] = uint16(i)
		b.watches, b.counts = append(b.watches, w), append(b.counts, newCounts(w.VerifyEvery))
	}
	return b
}

func (h hostID) compact() event.Compact { return event.Key{Zone: h.zone, Addr: h.addr}.Compact() }

func (b *book) len() int { return len(b.entries) }

// get gives what is known of an endpoint, and whether it is.
func (b *book) get(key event.Key) (known, bool) {
	e, ok := b.entries[key.Compact()]
	if !ok {
		return known{}, false
	}
	return b.known(&e), true
}

func (b *book) known(e *entry) known {
	return known{watch: b.watches[e.watch].Name, remembered: e.remembered.Value(), visited: timeOf(e.visited),
		unstable: e.unstable, fails: int(e.fails), outcome: e.outcome.Value(), verified: timeOf(e.verified),
		refreshed: timeOf(e.refreshed)}
}

// put keeps what is known of an endpoint, which is to be asked once in every;
// aside says that its host is left alone.
func (b *book) put(key event.Key, k *known, every time.Duration, aside bool) {
	id := key.Compact()
	if was, ok := b.entries[id]; ok {
		b.counts[was.watch].count(&was, -1)
	} else {
		h := hostOf(key).compact()
		b.hosts[h] = append(b.hosts[h], id)
	}
	e := entry{visited: nanos(k.visited), verified: nanos(k.verified), refreshed: nanos(k.refreshed), every: every,
		remembered: unique.Make(k.remembered), outcome: unique.Make(k.outcome), watch: b.numbers[k.watch],
		fails: uint8(min(k.fails, math.MaxUint8)), unstable: k.unstable, aside: aside}
	b.entries[id] = e
	b.counts[e.watch].count(&e, 1)
}

// drop forgets an endpoint, and says whether it was known.
func (b *book) drop(key event.Key) bool {
	id := key.Compact()
	was, ok := b.entries[id]
	if !ok {
		return false
	}
	b.counts[was.watch].count(&was, -1)
	delete(b.entries, id)
	h := hostOf(key).compact()
	list := slices.DeleteFunc(b.hosts[h], func(c event.Compact) bool { return c == id })
	if b.hosts[h] = list; len(list) == 0 {
		delete(b.hosts, h)
	}
	return true
}

// has says whether anything is known of a host.
func (b *book) has(h hostID) bool { return len(b.hosts[h.compact()]) > 0 }

// services gives what is known of a host.
func (b *book) services(h hostID) iter.Seq2[event.Key, known] {
	return func(yield func(event.Key, known) bool) {
		for _, id := range b.hosts[h.compact()] {
			e := b.entries[id]
			if !yield(id.Key(), b.known(&e)) {
				return
			}
		}
	}
}

// of gives the counts of a watch.
func (b *book) of(watch string) *counts { return b.counts[b.numbers[watch]] }
