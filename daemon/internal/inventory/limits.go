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

	// MaxOutbox and OutboxFor bound the events that stay readable after
	// every sink has them. Events that a sink still lacks always stay.
	MaxOutbox = 100_000
	OutboxFor = 30 * 24 * time.Hour

	// MaxHistory and HistoryFor bound the history of all endpoints.
	MaxHistory = 200_000
	HistoryFor = 400 * 24 * time.Hour

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
