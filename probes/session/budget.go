package session

import (
	"fmt"
	"time"
)

// A budget counts what a visit has cost against what it may cost
// (SCAN-SEMANTICS part 2, row 14). Waiting is counted from the completion of
// each connect, so that a loaded machine or a rate limit does not decide what
// is tried; and once, however many connections wait.
type budget struct {
	max         *Settings
	connections int
	probes      int
	repeated    int // of them, because we stood in our own way
	out, in     int // bytes
	waited      time.Duration
}

// room is how many more bytes may pass.
func (b *budget) room() int { return max(b.max.MaxBytes-b.out-b.in, 0) }

// patience is how long more may be waited.
func (b *budget) patience() time.Duration { return max(b.max.MaxWait-b.waited, 0) }

// lastMoment is how little of the waiting budget is no time for a probe: an
// answer could not settle, and rounding would decide whether it is asked.
func (b *budget) lastMoment() time.Duration { return min(b.max.Settle, b.max.MaxWait/10) }

// spent names the budget that forbids one more probe of size bytes, or is "".
func (b *budget) spent(size int) string {
	switch {
	case b.probes-b.repeated >= b.max.MaxProbes:
		return fmt.Sprintf("the budget of %d probes is spent", b.max.MaxProbes)
	case b.patience() <= b.lastMoment():
		return fmt.Sprintf("the waiting budget of %v is spent", b.max.MaxWait)
	case b.room() <= size:
		return fmt.Sprintf("the budget of %d bytes is spent", b.max.MaxBytes)
	}
	return ""
}
