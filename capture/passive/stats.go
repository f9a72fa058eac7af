package passive

import "sync/atomic"

// Stats is what a Watcher has seen since it began. Every frame that came is in
// Frames; what became of them is counted under the other names, which for an
// mDNS message with several claims, or a datagram that may be both a request and
// an answer, may be several. Frames that the kernel's filter dropped are nowhere.
type Stats struct {
	Frames    uint64 // left by the kernel's filter
	Sampled   uint64 // not looked at: over FramesPerSecond, or too many to parse
	Malformed uint64 // not what they seemed, or cut off
	Outside   uint64 // neither end is in the scope

	Unasked uint64 // datagrams to a port below 32768 whose request was not seen

	Begun      uint64 // requests that were noted, to wait for their answers
	Repeated   uint64 // told a while ago
	Suppressed uint64 // over the rates of telling
	Untaken    uint64 // nobody took the sightings that wait
	Sightings  uint64 // told
	Reopened   uint64 // sockets that were opened again after a loss

	KernelReceived uint64 // by the sockets, after the filter
	KernelDropped  uint64 // for want of room in the ring
}

type counters struct {
	frames, sampled, malformed, outside, unasked atomic.Uint64
	begun, repeated, suppressed, untaken         atomic.Uint64
	sightings, reopened                          atomic.Uint64
	receivedBefore, droppedBefore                atomic.Uint64 // by sockets that are closed
}

func (c *counters) stats() Stats {
	return Stats{
		Frames: c.frames.Load(), Sampled: c.sampled.Load(), Malformed: c.malformed.Load(),
		Outside: c.outside.Load(), Unasked: c.unasked.Load(), Begun: c.begun.Load(), Repeated: c.repeated.Load(),
		Suppressed: c.suppressed.Load(), Untaken: c.untaken.Load(),
		Sightings: c.sightings.Load(), Reopened: c.reopened.Load(),
		KernelReceived: c.receivedBefore.Load(), KernelDropped: c.droppedBefore.Load(),
	}
}
