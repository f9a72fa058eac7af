package rpc

import (
	"fmt"
	"slices"

	"sonde/match"
	"sonde/probes"
)

// Limits of a Grind.
const (
	// MaxPrograms is how many numbers are asked at most; the built-in table
	// has about 1,200.
	MaxPrograms = 2048
	// batch is how many calls are asked before the replies are judged. All
	// common programs and the control fit in the first, and at a round trip
	// each the table takes 1,222 / 40 = 31 of them.
	batch = 40
	// windowUDP is how many datagrams are under way at once: each is lost
	// alone, and a host's limits on answers bite at bursts.
	windowUDP = 8
	// MaxTries is how often a call is sent before it counts as lost.
	MaxTries = 3
	// MaxOther is how many unexpected replies are kept; all are counted.
	MaxOther = 16
)

// control is a number that no server may have: RFC 5531, section 8, reserves
// it. One that claims it claims everything.
const control = 0x7ffffffe

// An Answer is a reply that says neither "here" nor "not here".
type Answer struct {
	Program   uint32
	Status    Status
	Low, High uint32 // as the server gave them
}

// A GrindResult is what a Grind found out.
type GrindResult struct {
	// Found are the programs, in the order in which they were asked: the most
	// common one first.
	Found []probes.RPCFacts
	// Confirmed is set when the server denied a program that nobody has: so
	// its other answers mean something.
	Confirmed bool
	// Asked programs were answered; Unavailable of them with "not here", and
	// OtherCount with something else, of which Other keeps the first MaxOther.
	Asked, Unavailable, OtherCount int
	Other                          []Answer
	// Lost calls were never answered.
	Lost int
	// Reason is why it ended: "found", "no known program", or what was wrong.
	Reason string
}

// Facts gives what was found in the order of the numbers.
func (r *GrindResult) Facts() []probes.RPCFacts {
	facts := slices.Clone(r.Found)
	slices.SortFunc(facts, func(a, b probes.RPCFacts) int { return int(int64(a.Program) - int64(b.Program)) })
	return facts
}

// Identity gives the identity of the endpoint: that of the most common program
// found. It is false when none was.
func (r *GrindResult) Identity() (match.Identity, bool) {
	if len(r.Found) == 0 {
		return match.Identity{}, false
	}
	return Identity(r.Found[0]), true
}

// Identity gives the identity of an endpoint with this program: its name, or
// "rpc", its versions, and its number.
func Identity(f probes.RPCFacts) match.Identity {
	id := match.Identity{
		Service: f.Name,
		Version: fmt.Sprintf("%d-%d", f.Low, f.High),
		Info:    fmt.Sprintf("RPC #%d", f.Program),
	}
	if f.Name == "" {
		id.Service = "rpc"
	}
	if f.Low == f.High {
		id.Version = fmt.Sprint(f.Low)
	}
	return id
}

// A Grind asks a server for one program after the other, each time in a version
// that cannot be, until one exists: then the server answers with the versions
// that do.
//
// Programs are asked in batches, and a batch in which one is found is asked to
// its end. So the result does not depend on how replies are cut or delayed.
// To look whether a known program is still there, NewGrind gets its number
// alone: that is two calls, one of them the control.
//
//	for g is not Done:
//	    send what Next gives, until it gives nothing
//	    Received(what came), or Lapsed() after the time for a reply,
//	    or Reopened() when the server closed and a new connection is there
type Grind struct {
	exchange
	numbers []uint32 // of the calls, by index
	at      int      // where the current batch ends
	unsent  []int    // of the current batch: to be sent, or sent again
	flying  int      // calls under way
	tries   int      // of the current batch
	heard   int      // replies since the last lapse or opening
	window  int
	found   map[int]probes.RPCFacts
	claims  bool // the control was claimed
	res     GrindResult
}

// NewGrind prepares to ask for the numbers in their order, such as
// [Table.Numbers]; those after MaxPrograms are left out.
func NewGrind(numbers []uint32, set Settings) *Grind {
	numbers = numbers[:min(len(numbers), MaxPrograms)]
	g := &Grind{
		exchange: exchange{set: set, waiting: map[int]bool{}},
		numbers:  append([]uint32{control}, numbers...),
		window:   batch,
		found:    map[int]probes.RPCFacts{},
	}
	if set.Transport == probes.UDP {
		g.window = windowUDP
	}
	g.nextBatch()
	return g
}

// Next gives the next call to send, framed for the transport; over UDP it is
// one datagram. It gives nothing while replies are awaited, and when all is
// done.
func (g *Grind) Next() (send []byte, ok bool) {
	if g.over || len(g.unsent) == 0 || g.flying >= g.window {
		return nil, false
	}
	i := g.unsent[0]
	g.unsent = g.unsent[1:]
	g.flying++
	return g.call(i, g.numbers[i], ImpossibleVersion, 0), true
}

// Received digests bytes of the stream, or one datagram.
func (g *Grind) Received(data []byte) {
	g.receive(data, g.digest)
	g.settle()
}

// Lapsed says that the time for replies is over. What is unanswered is asked
// again, over TCP one by one from now on, as not every server reads ahead.
func (g *Grind) Lapsed() {
	if g.over {
		return
	}
	heard := g.heard
	g.heard = 0
	if g.tries++; g.tries < MaxTries || heard > 0 {
		g.again()
		return
	}
	if g.res.Asked == 0 {
		g.end("silent")
		return
	}
	g.again() // now all that is unanswered stands there
	g.res.Lost += len(g.unsent)
	clear(g.waiting)
	g.unsent = nil
	if g.set.Transport != probes.UDP {
		g.end("fell silent")
	}
	g.settle()
}

// Reopened says that the server closed the connection and a new one is there.
func (g *Grind) Reopened() {
	if g.over {
		return
	}
	if g.reopens > 0 && g.heard == 0 {
		g.end("closes the connection")
		return
	}
	g.heard = 0
	g.reopen()
	g.again()
}

// again puts what waits back to be sent, in order.
func (g *Grind) again() {
	for i := range g.waiting {
		if !slices.Contains(g.unsent, i) {
			g.unsent = append(g.unsent, i)
		}
	}
	g.flying = 0
	slices.Sort(g.unsent)
	if g.set.Transport != probes.UDP {
		g.window = 1
	}
}

// Done reports whether the conversation is over.
func (g *Grind) Done() bool { return g.over }

// Result gives what is known so far.
func (g *Grind) Result() GrindResult {
	res := g.res
	res.Reason = g.reason
	if !g.claims {
		for i := range g.numbers { // a map has no order
			if f, ok := g.found[i]; ok {
				res.Found = append(res.Found, f)
			}
		}
	}
	return res
}

func (g *Grind) digest(i int, r Reply) {
	g.heard++
	if at := slices.Index(g.unsent, i); at >= 0 {
		g.unsent = slices.Delete(g.unsent, at, at+1) // answered before it was sent again
	} else {
		g.flying--
	}
	possible := r.Status == ProgramMismatch && r.Low <= r.High &&
		(ImpossibleVersion < r.Low || ImpossibleVersion > r.High)
	if g.numbers[i] == control {
		g.claims = r.Status == ProgramMismatch
		g.res.Confirmed = r.Status == ProgramUnavailable
		return
	}
	g.res.Asked++
	switch n := g.numbers[i]; {
	case possible:
		g.found[i] = probes.RPCFacts{Program: n, Name: g.set.names().Name(n), Low: r.Low, High: r.High}
	case r.Status == ProgramUnavailable:
		g.res.Unavailable++
	default:
		g.res.OtherCount++
		if len(g.res.Other) < MaxOther {
			g.res.Other = append(g.res.Other, Answer{n, r.Status, r.Low, r.High})
		}
	}
}

// settle judges a batch when it is complete, and begins the next.
func (g *Grind) settle() {
	if g.over || len(g.waiting) > 0 || len(g.unsent) > 0 {
		return
	}
	switch {
	case g.claims:
		g.end("claims every program")
	case len(g.found) > 0:
		g.end("found")
	case g.res.Unavailable == 0 && g.res.OtherCount > 0:
		g.end("does not tell programs apart: " + g.res.Other[0].Status.String())
	case g.at == len(g.numbers):
		g.end("no known program")
	default:
		g.nextBatch()
	}
}

func (g *Grind) nextBatch() {
	for end := min(g.at+batch, len(g.numbers)); g.at < end; g.at++ {
		g.unsent = append(g.unsent, g.at)
	}
	g.tries = 0
}
