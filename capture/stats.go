package capture

// Stats is what a sweep did.
type Stats struct {
	Targets  uint64 // taken from the sequence
	Tries    uint64 // sockets that were connected, or tried to; or probes sent
	Accepted uint64 // TCP and …
	Answered uint64 // … UDP ports that are open
	Refused  uint64
	Silent   uint64
	Starved  uint64 // times that a try had to wait for local resources

	// Unreachable counts what could not be asked for reasons of the path.
	// NotTried counts those among them that never left this machine, for want
	// of local resources or by a local rule.
	Unreachable, NotTried uint64

	// Degraded says that something was not tried, or that answers may have
	// been lost on this machine. A degraded sweep proves nothing absent.
	Degraded bool

	// Packets is what a sweep that builds its own packets did; connect
	// discovery leaves it zero.
	Packets
}

// Packets counts what a sweep of packets sent and received.
type Packets struct {
	Sent       uint64  // probes and resets
	Resets     uint64  // those among them that ended what a SYN-ACK began
	Received   uint64  // packets that looked like an answer
	Validated  uint64  // answers to what was asked, the first of each target
	Spoofed    uint64  // what answers nothing that was sent
	Duplicates uint64  // further answers of a target
	Dropped    uint64  // lost on this machine before they were looked at
	Repeated   uint64  // rounds that were sent again because answers may be lost
	Rate       float64 // packets sent per second, pauses included
}
