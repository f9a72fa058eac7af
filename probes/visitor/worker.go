package visitor

import (
	"net"

	"sonde/match"
	"sonde/probes/engine"
)

// A worker is what the visits of one loop share. But for loop it belongs to
// that loop.
type worker struct {
	*Visitor
	loop    engine.Loop
	scratch *match.Scratch
	visits  map[*visit]struct{}
	linger  map[*conn]struct{} // closed, while what was sent goes out
	closing bool

	open  int // connections that the engine has
	heard int // what it told of them since the last look

	late []func() // what is to run once the reads are done, see afterReads
	wait int      // how many of them wait for the reads under way
	turn int      // how many turns they have waited
}

func newWorker(v *Visitor, l engine.Loop) *worker {
	return &worker{Visitor: v, loop: l, scratch: match.NewScratch(),
		visits: map[*visit]struct{}{}, linger: map[*conn]struct{}{}}
}

// fullTurn is how many calls of the engine in one turn say that there may be
// more to read than it asked the kernel for: that is some hundred sockets at
// once, which several visitors may share.
const fullTurn = 64

// afterReads runs f once the loop has read all that had come by now. Timers of
// a turn run behind its reads, but those may have been over before the clock was
// read, and may have left sockets out. A posted function runs behind timers, and
// what it posts itself in the next turn, behind the reads of that. Full turns
// follow until each connection can have had its turn.
func (w *worker) afterReads(f func()) {
	w.late = append(w.late, f)
	if len(w.late) == 1 {
		w.loop.Post(w.beginReads)
	}
}

func (w *worker) beginReads() {
	w.wait, w.turn = len(w.late), 0
	w.nextTurn()
}

func (w *worker) nextTurn() {
	w.heard = 0
	w.turn++
	w.loop.Post(w.haveRead)
}

func (w *worker) haveRead() {
	if w.heard >= fullTurn && w.turn*fullTurn < w.open {
		w.nextTurn()
		return
	}
	ready := w.late[:w.wait]
	w.late = append([]func(){}, w.late[w.wait:]...)
	if len(w.late) > 0 {
		w.loop.Post(w.beginReads)
	}
	for _, f := range ready {
		f()
	}
}

// close ends what the worker has.
func (w *worker) close() {
	w.closing = true
	for s := range w.visits {
		s.cancel(net.ErrClosed)
	}
	for c := range w.linger {
		c.shut()
	}
}
