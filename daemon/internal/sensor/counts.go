package sensor

import (
	"math"
	"time"

	"sonde/probes"
)

// counts are how the services of a watch stand. They are kept as each service
// changes, so that to look at them is not to look at each.
type counts struct {
	known, unstable, held, blocked, aside int

	every    time.Duration           // the watch's VerifyEvery
	verified ages                    // of all
	visited  map[time.Duration]*ages // by how often they are asked; without those aside
}

func newCounts(every time.Duration) *counts {
	return &counts{every: every, verified: newAges(every), visited: map[time.Duration]*ages{}}
}

// count adds a service, n being 1, or takes one away that was added as it is.
func (c *counts) count(e *entry, n int) {
	c.known += n
	if e.unstable {
		c.unstable += n
	}
	switch e.outcome.Value() {
	case probes.OutcomeHeld:
		c.held += n
	case probes.OutcomeBlocked:
		c.blocked += n
	}
	c.verified.add(e.verified, n)
	if e.aside {
		c.aside += n
		return
	}
	of := c.visited[e.every]
	if of == nil {
		a := newAges(e.every)
		of = &a
		c.visited[e.every] = of
	}
	if of.add(e.visited, n); len(of.n) == 0 {
		delete(c.visited, e.every)
	}
}

// tally gives how the services stand at a time.
func (c *counts) tally(now time.Time) tally {
	stale, _ := c.verified.older(now, c.every)
	t := tally{known: c.known, fresh: c.known - stale, unstable: c.unstable, quarantined: c.aside,
		held: c.held, blocked: c.blocked}
	for every, of := range c.visited {
		n, oldest := of.older(now, every)
		t.overdue += n
		if n > 0 {
			t.oldest = max(t.oldest, oldest)
		}
	}
	return t
}

// agesIn is how many steps there are in a span by which ages are judged: an age
// is told to be over it a 1,024th of it late at most, and what is counted is some
// thousand numbers however many services there are.
const agesIn = 1024

// ages counts times, by steps.
type ages struct {
	step int64 // nanoseconds
	n    map[int64]int
}

func newAges(span time.Duration) ages {
	return ages{step: max(1, int64(span)/agesIn), n: map[int64]int{}}
}

func (a *ages) add(at int64, n int) {
	of := at
	if at != never {
		of = at / a.step
	}
	if a.n[of] += n; a.n[of] == 0 {
		delete(a.n, of)
	}
}

// older counts what is older than the span, and says how old the oldest is at
// least.
func (a *ages) older(now time.Time, span time.Duration) (n int, oldest time.Duration) {
	for of, count := range a.n {
		age := time.Duration(math.MaxInt64)
		if of != never {
			age = time.Duration(now.UnixNano() - (of+1)*a.step + 1) // of the youngest there may be
		}
		if age > span {
			n, oldest = n+count, max(oldest, age)
		}
	}
	return n, oldest
}
