package inventory

import "time"

// What is kept and told, at most. An endpoint's rows stay near 4 KiB in the
// common case of one identity, and cannot pass about 8 × (4 + 6 + 6) KiB:
// identities with evidence and the fingerprint of what no signature explains.
const (
	// MaxIdentities is how many identities, and values of each attribute,
	// an endpoint remembers: pools behind one address. The one seen longest
	// ago makes room.
	MaxIdentities = 8

	// MaxEvidence is how many bytes of an answer are kept per identity.
	MaxEvidence = 4096

	// MaxEvent is the longest JSON form of an event, in bytes.
	MaxEvent = 16 << 10

	// MaxLeaves is how many values an event holds: receivers that index
	// each field limit their number.
	MaxLeaves = 200

	// MaxScopes is how many distinct scopes of completed passes are known.
	MaxScopes = 1024
)

const (
	maxAsked  = 64 // names of probes asked of one endpoint
	triesEach = 4  // hurried visits per confirmation needed, then routine

	// maxRestarts is how often the identity of something that appears may
	// differ from visit to visit. That it is there is certain by then, and
	// it is told with the identity seen last.
	maxRestarts = 6
)

// Retention bounds what a store keeps.
type Retention struct {
	// Events that every sink has stay for EventsFor, and EventsMost of them.
	// Events that a sink still lacks always stay.
	EventsFor  time.Duration
	EventsMost int

	// The history of all endpoints together.
	HistoryFor  time.Duration
	HistoryMost int

	// GoneFor is how long an endpoint is known that is gone, or whose watch was
	// removed. One that is forgotten comes back as new.
	GoneFor time.Duration

	// MaxSize is how many bytes the file may hold. Over it, events and history
	// leave before their time; endpoints never do.
	MaxSize int64
}

// DefaultRetention gives the documented defaults.
func DefaultRetention() Retention {
	const day = 24 * time.Hour
	return Retention{EventsFor: 30 * day, EventsMost: 100_000, HistoryFor: 400 * day, HistoryMost: 200_000,
		GoneFor: 400 * day, MaxSize: 4 << 30}
}
