package inventory

import (
	"time"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// Status is where an endpoint stands.
type Status string

// The statuses of an endpoint.
const (
	Unknown   Status = ""          // nothing there: not kept
	Candidate Status = "candidate" // seen, not yet told
	Present   Status = "present"   // told, and there as far as we know
	Gone      Status = "gone"      // told to be gone
	Away      Status = "away"      // gone with its host, which was told
)

// An Endpoint is all that is known of one port of one address.
type Endpoint struct {
	Key    event.Key
	Watch  string
	Status Status

	// Current is what is believed: the identity seen last, with everything
	// that earlier visits added to it.
	Current probes.Observation

	// Others are the further identities of a pool, last seen first.
	Others []probes.Observation

	FirstSeen    time.Time // when it was there for the first time
	LastSeen     time.Time // when it was there for the last time
	LastVisited  time.Time // when it was asked for the last time
	LastVerified time.Time // when its identity was last confirmed
	AbsentAt     time.Time // Candidate: when a pass had found nothing there; zero: none had looked

	Pending    *Pending // what is being confirmed about it, or nil
	Closed     Streak   // refused visits since it was last there
	Silent     Streak   // unanswered visits since it was last there
	Unsure     Streak   // visits that could not confirm the identity, since one did
	Unverified bool     // told to be unverified, and not confirmed since
	Retired    bool     // its watch was removed

	Known        map[string][]string // values seen of each attribute, newest first
	Certificates []KnownCertificate  // of those values, what is needed to know a renewed one; newest first
	Asked        []string            // probes asked so far, sorted
	Swing        Swing               // how steady the identity is
	Way          string              // how it was reached when its identity was last confirmed
	MAC          string              // of the machine that showed it then

	Next Next // when it should be asked again
}

// Remembered is the probe and the tunnel that gave the identity, to be tried
// first at the next visit. The probe is "" when none is remembered.
func (e *Endpoint) Remembered() (probe string, tunnel probes.Tunnel) {
	return e.Current.Probe, e.Current.Tunnel
}

// Pending is something seen that is not yet believed.
type Pending struct {
	Action    event.Action       // what will be told
	Cause     event.Cause        // and why
	Candidate probes.Observation // what the agreeing visits said together
	Agreeing  Streak
	Tries     int // visits since the first, of any outcome
	Restarts  int // times that yet another identity took over
}

// A Streak is a row of visits that say the same.
type Streak struct {
	Count       int
	First, Last time.Time
}

// A Standing is where an endpoint stands after a visit. One whose watch was
// removed, and that was not found there again, stands as Unknown.
type Standing struct {
	Status   Status
	Next     Next
	Verified time.Time // when its identity was last confirmed
	Unstable bool      // told to be, and not to be stable since

	// Also are other endpoints of the watch to be visited soon: those of a
	// machine that moved, or that may have, and one of a host that may be out.
	Also []event.Key
}

// Next says when to ask an endpoint again. A zero At leaves it to routine.
type Next struct {
	At  time.Time
	Why Why
}

// Why is the reason for a visit out of turn.
type Why string

// The reasons.
const (
	Routine        Why = ""
	ConfirmNew     Why = "confirm new"
	ConfirmChanged Why = "confirm changed"
	ConfirmGone    Why = "confirm gone"
)

// A Visit is one conversation with one endpoint, as its outcome is told to
// the inventory.
type Visit struct {
	Key         event.Key
	Watch       string
	Method      string // how it was found or asked: "connect", "udp:<hash of the payloads>"
	Observation probes.Observation
	At          time.Time // of the last packet that counts
	Found       bool      // a sweep came upon it; else it was due
	Way         string    // how the target was reached, interface and next hop in any form; "" when not known
	MAC         string    // of the target, where it is on-link; "" when not known
	VLAN        int       // that the target was reached in, 0 for none
	Crowd       int       // endpoints of the same host that a sweep found and that wait for their first visit
	// Held says that too many others look alike, or may: nothing is told to be new,
	// changed or gone. The store holds on its own account, too.
	Held bool
	// Late says that the last complete sweep of the watch is older than promised: a
	// machine that left its address may be at another one, where nobody has looked.
	Late bool

	// The rest is filled in by the store from what it knows.

	Keyed     bool        // the host has an SSH host key that names it
	HostAlive time.Time   // the host's last sign of life, this visit's included
	HostOut   time.Time   // when its last outage ended
	AbsentAt  time.Time   // when a pass that covers this endpoint found nothing; zero: never
	Cause     event.Cause // of a baseline: config when empty
	Unsynced  bool        // our clock is not to be believed: no certificate is judged by it
}
