package inventory

import "time"

// Rules are the numbers behind each decision: how many visits must agree, and
// over how long, before something is told. Visit counts below 1 mean 1.
type Rules struct {
	// A service is new, or back, after NewVisits agreeing visits over at
	// least NewSpacing.
	NewVisits  int
	NewSpacing time.Duration

	// It has changed, or is no longer recognised, after ChangedVisits
	// agreeing visits over at least ChangedOver.
	ChangedVisits int
	ChangedOver   time.Duration

	// It is gone, reason closed, when ClosedVisits visits over at least
	// ClosedAfter were refused and none was accepted.
	ClosedVisits int
	ClosedAfter  time.Duration

	// It is gone, reason filtered, when FilteredVisits visits over at least
	// GoneAfter met silence while the host gave a sign of life within
	// GoneAfter. Never so for UDP.
	FilteredVisits int
	GoneAfter      time.Duration

	// It is unverified when no visit could confirm its identity for
	// UnverifiedAfter, whatever stood in the way.
	UnverifiedAfter time.Duration

	// It is unstable when UnstableSwings of the last UnstableOf observations
	// ended a confirmation with what was known before, and stable again after
	// StableAfter equal ones in a row. UnstableOf is at most MaxUnstableOf.
	UnstableSwings int
	UnstableOf     int
	StableAfter    int

	// More hosts of a watch than MassHosts and than MassPercent of those that
	// are there, missing or changing alike within MassWindow, are told as one.
	// Missing ones are then held for MassHold at most.
	MassHosts   int
	MassPercent int
	MassWindow  time.Duration
	MassHold    time.Duration

	// A host with more than AlikeEndpoints endpoints that answer alike answers
	// everything.
	AlikeEndpoints int

	// Dynamic says that addresses go from machine to machine: what another MAC
	// address shows is not what the one before has become.
	Dynamic bool
}

// MaxUnstableOf is how many observations are remembered to judge stability.
const MaxUnstableOf = 32

// DefaultRules gives the documented defaults.
//
// ChangedOver is 65 s so that the visits see more than one minute: rate
// limits, connection limits and restarts of a minute pass meanwhile.
func DefaultRules() Rules {
	return Rules{
		NewVisits:       2,
		NewSpacing:      time.Second,
		ChangedVisits:   3,
		ChangedOver:     65 * time.Second,
		ClosedVisits:    3,
		ClosedAfter:     5 * time.Minute,
		FilteredVisits:  3,
		GoneAfter:       30 * time.Minute,
		UnverifiedAfter: 24 * time.Hour,
		UnstableSwings:  4,
		UnstableOf:      10,
		StableAfter:     5,
		MassHosts:       10,
		MassPercent:     20,
		MassWindow:      30 * time.Minute,
		MassHold:        24 * time.Hour,
		AlikeEndpoints:  50,
	}
}
