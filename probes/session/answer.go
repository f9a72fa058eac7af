package session

import "time"

// An ending is how an answer became final.
type ending uint8

const (
	growing  ending = iota // not final
	closed                 // the peer closed its side, or reset the connection
	proven                 // the protocol's syntax shows the end
	full                   // the byte limit is reached, and the rest cut off
	settled                // no byte came for the settle time
	cutShort               // time ran out in the middle: only provisional
)

// An answer gathers what a peer sends until it is final (SCAN-SEMANTICS part
// 2, row 1). It is pure: bytes and time go in.
//
// The same bytes make the same final answer however they are cut into
// segments, as long as the gaps stay below the settle time: the end is always
// a position in the stream, and what a read brought beyond it is cut off.
type answer struct {
	limit  int           // bytes
	settle time.Duration // silence that makes an answer final
	ends   endFunc       // nil where no syntax is known

	buf  []byte
	rest []byte    // what came behind a proven end, in the memory behind buf
	from int       // where the answer to what was said last begins
	need int       // length behind from at which asking ends can tell more
	last time.Time // when the newest byte came
	end  ending
}

// An endFunc looks for the end of an answer. It gives the length n of the
// shortest complete answer in b, or n < 0 and the length from which it is
// worth asking again. For every b the n is that of each extension of b.
type endFunc func(b []byte) (n, need int)

// room is how many more bytes the answer can take.
func (a *answer) room() int { return a.limit - len(a.buf) }

// add appends b, which came at now. Bytes after the end are left out.
func (a *answer) add(now time.Time, b []byte) {
	if a.end != growing || len(b) == 0 {
		return
	}
	if len(b) > a.room() {
		b = b[:a.room()]
	}
	a.buf = append(a.buf, b...)
	a.last = now
	if fresh := a.buf[a.from:]; a.ends != nil && len(fresh) >= a.need {
		n, need := a.ends(fresh)
		if n >= 0 {
			a.rest = a.buf[a.from+n:]
			a.buf, a.end = a.buf[:a.from+n], proven
			return
		}
		a.need = need
	}
	if a.room() == 0 {
		a.end = full
	}
}

// stir notes at now that the peer goes on sending, though nothing of it can be
// read yet.
func (a *answer) stir(now time.Time) {
	if a.end == growing && a.heard() {
		a.last = now
	}
}

// finish makes a growing answer final in the given way.
func (a *answer) finish(how ending) {
	if a.end == growing {
		a.end = how
	}
}

// tick makes the answer final if it has settled at now. Where the syntax shows
// that there is more to come, silence alone is no end.
func (a *answer) tick(now time.Time) {
	if a.heard() && !a.unfinished() && a.silentFor(now) {
		a.finish(settled)
	}
}

// silentFor reports whether the settle time has passed without a byte.
func (a *answer) silentFor(now time.Time) bool { return !now.Before(a.last.Add(a.settle)) }

// unfinished reports whether the syntax says that what came is not all: a line
// or a header block without its end, a body shorter than announced.
func (a *answer) unfinished() bool {
	return a.ends != nil && a.need < never && a.need > len(a.buf)-a.from
}

// wake is when the reader has to look again, if no byte comes before: at
// patience while none has come at all, then when the answer settles, and never
// after until.
func (a *answer) wake(patience, until time.Time) time.Time {
	at := patience
	switch {
	case a.heard() && a.unfinished():
		return until
	case a.heard():
		at = a.last.Add(a.settle)
	}
	if at.Before(until) {
		return at
	}
	return until
}

// expire ends an answer whose time is over at now. One that has not begun
// stays as it is. One that promised more and was silent has settled all the
// same: some servers announce more than they send.
func (a *answer) expire(now time.Time) {
	if a.heard() && a.silentFor(now) {
		a.finish(settled)
	}
	if a.heard() {
		a.finish(cutShort)
	}
}

// heard reports whether a byte of the awaited answer came.
func (a *answer) heard() bool { return len(a.buf) > a.from }

// final reports whether no more bytes are wanted.
func (a *answer) final() bool { return a.end != growing }

// reopen takes back a proven end: what came behind it, and what comes until it
// settles, belongs to the answer too.
func (a *answer) reopen() {
	a.buf = append(a.buf, a.rest...)
	a.rest, a.ends, a.end = nil, nil, growing
	if a.room() == 0 {
		a.end = full
	}
}

// rejoin makes one answer of all that came, after a wait for more.
func (a *answer) rejoin(how ending) {
	a.from = 0
	a.finish(how)
}

// more waits for another answer on the same connection, which is appended: a
// rule sees both (SCAN-SEMANTICS part 1, F.1).
func (a *answer) more(ends endFunc) {
	a.end, a.ends, a.from, a.need, a.rest = growing, ends, len(a.buf), 0, nil
	if a.room() == 0 {
		a.end = full
	}
}
