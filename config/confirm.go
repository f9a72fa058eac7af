package config

import "time"

// Confirm says how much must agree before a change is told.
type Confirm struct {
	NewVisits      int           // service.new: agreeing visits …
	NewSpacing     time.Duration // … at least this far apart
	ChangedVisits  int           // service.changed: agreeing visits …
	ChangedOver    time.Duration // … spread over at least this
	ClosedVisits   int           // service.gone, closed: refused visits …
	ClosedAfter    time.Duration // … spread over at least this
	FilteredVisits int           // service.gone, filtered, and host.gone: silent visits …
	GoneAfter      time.Duration // … spread over at least this

	UnverifiedAfter time.Duration // service.unverified: nothing confirmed it for this long

	UnstableAlternations int // service.unstable: times to and fro …
	UnstableOf           int // … within so many observations
	StableAfter          int // service.stable: equal observations in a row

	MassHosts   int           // watch.unreachable, watch.mass_change: more hosts than this …
	MassPercent int           // … and more than this share of those that are there …
	MassWindow  time.Duration // … within this time, for which changes are held
	MassHold    time.Duration // for how long missing hosts are held at most

	AlikeEndpoints int // host.answers_everything: more ports of a host than this answer alike
}

// maxVisits bounds how much agreement can be asked for.
const maxVisits = 100

// maxUnstableOf is how many observations the inventory remembers.
const maxUnstableOf = 32

func defaultConfirm() Confirm {
	return Confirm{
		NewVisits: 2, NewSpacing: time.Second,
		ChangedVisits: 3, ChangedOver: 65 * time.Second,
		ClosedVisits: 3, ClosedAfter: 5 * time.Minute,
		FilteredVisits: 3, GoneAfter: 30 * time.Minute,
		UnverifiedAfter:      day,
		UnstableAlternations: 4, UnstableOf: 10, StableAfter: 5,
		MassHosts: 10, MassPercent: 20, MassWindow: 30 * time.Minute, MassHold: day,
		AlikeEndpoints: 50,
	}
}

var confirmTable = table[Confirm]{
	"new_visits":      number(func(c *Confirm) *int { return &c.NewVisits }, 1, maxVisits),
	"new_spacing":     duration(func(c *Confirm) *time.Duration { return &c.NewSpacing }, 0, day),
	"changed_visits":  number(func(c *Confirm) *int { return &c.ChangedVisits }, 1, maxVisits),
	"changed_over":    duration(func(c *Confirm) *time.Duration { return &c.ChangedOver }, 0, day),
	"closed_visits":   number(func(c *Confirm) *int { return &c.ClosedVisits }, 1, maxVisits),
	"closed_after":    duration(func(c *Confirm) *time.Duration { return &c.ClosedAfter }, 0, maxEvery),
	"filtered_visits": number(func(c *Confirm) *int { return &c.FilteredVisits }, 1, maxVisits),
	"gone_after":      duration(func(c *Confirm) *time.Duration { return &c.GoneAfter }, 0, maxEvery),

	"unverified_after": duration(func(c *Confirm) *time.Duration { return &c.UnverifiedAfter }, 0, maxEvery),

	"unstable_alternations": number(func(c *Confirm) *int { return &c.UnstableAlternations }, 1, maxUnstableOf/2),
	"unstable_of":           number(func(c *Confirm) *int { return &c.UnstableOf }, 2, maxUnstableOf),
	"stable_after":          number(func(c *Confirm) *int { return &c.StableAfter }, 1, maxVisits),

	"mass_hosts":   number(func(c *Confirm) *int { return &c.MassHosts }, 1, 1<<20),
	"mass_percent": number(func(c *Confirm) *int { return &c.MassPercent }, 1, 100),
	"mass_window":  duration(func(c *Confirm) *time.Duration { return &c.MassWindow }, time.Minute, day),
	"mass_hold":    duration(func(c *Confirm) *time.Duration { return &c.MassHold }, 0, 30*day),

	"alike_endpoints": number(func(c *Confirm) *int { return &c.AlikeEndpoints }, 2, 1<<16),
}

// checkConfirm checks what concerns more than one key: an alternation takes two
// observations.
func (r *reader) checkConfirm(c *Config) {
	n, of := c.Confirm.UnstableAlternations, c.Confirm.UnstableOf
	if 2*n <= of {
		return
	}
	for _, key := range []string{"confirm.unstable_alternations", "confirm.unstable_of"} {
		if at, set := r.set[key]; set {
			r.fail(at, key, "%d alternations take %d observations, and unstable_of is %d; lower the one, or raise the other",
				n, 2*n, of)
			return
		}
	}
}
