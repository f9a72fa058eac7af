package enginetest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sonde/probes/engine"
)

// A Recorder is a handler that keeps what it is told. It belongs to the loop's
// goroutine. The functions, where set, are called after something was kept.
type Recorder struct {
	Conn     engine.Conn // set by Open
	Told     []string    // the names of the calls, in order
	Data     []byte      // all that was received
	From     []netip.AddrPort
	Sizes    []int
	Rejects  []error
	RejectTo []netip.AddrPort
	RTT      time.Duration
	Err      error // of Ended
	At       time.Time

	OnOpened   func()
	OnReceived func(b []byte)
	OnEnded    func(err error)

	// Discard keeps Data empty, and counts only.
	Discard bool
	Bytes   int

	loop engine.Loop
}

var _ engine.Handler = (*Recorder)(nil)

// Open opens a connection and records it.
func (r *Recorder) Open(l engine.Loop, d engine.Dial) {
	r.loop = l
	r.Conn = l.Open(d, r)
}

func (r *Recorder) tell(what string) {
	r.Told = append(r.Told, what)
	r.At = r.loop.Now()
}

// Opened implements engine.Handler.
func (r *Recorder) Opened(rtt time.Duration) {
	r.RTT = rtt
	r.tell("Opened")
	if r.OnOpened != nil {
		r.OnOpened()
	}
}

// Received implements engine.Handler.
func (r *Recorder) Received(b []byte, from netip.AddrPort) {
	r.Bytes += len(b)
	if !r.Discard {
		r.Data = append(r.Data, b...)
		r.From = append(r.From, from)
		r.Sizes = append(r.Sizes, len(b))
		r.tell("Received")
	}
	if r.OnReceived != nil {
		r.OnReceived(b)
	}
}

// Sent implements engine.Handler.
func (r *Recorder) Sent() { r.tell("Sent") }

// Rejected implements engine.Handler.
func (r *Recorder) Rejected(err error, to netip.AddrPort) {
	r.Rejects = append(r.Rejects, err)
	r.RejectTo = append(r.RejectTo, to)
	r.tell("Rejected")
}

// Ended implements engine.Handler.
func (r *Recorder) Ended(err error) {
	r.Err = err
	r.tell("Ended")
	if r.OnEnded != nil {
		r.OnEnded(err)
	}
}

// Has says whether a call was made at least n times.
func (r *Recorder) Has(what string, n int) bool {
	for _, t := range r.Told {
		if t == what {
			n--
		}
	}
	return n <= 0
}

// String gives the calls in order, repeated Received as one.
func (r *Recorder) String() string {
	told := slices.Compact(slices.Clone(r.Told))
	if r.Err != nil {
		return fmt.Sprintf("%s %v", strings.Join(told, " "), r.Err)
	}
	return strings.Join(told, " ")
}
