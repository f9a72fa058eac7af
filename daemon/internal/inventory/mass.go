package inventory

import (
	"time"

	"sonde/daemon/internal/event"
)

// A Mass is more of a watch that is missing, or changing alike, than happens
// at once by chance.
type Mass struct {
	Watch string
	Sign  string // what they have in common
	Since time.Time
}

// A Window is how many hosts of a watch show a sign at a time.
type Window struct {
	At    time.Time
	Known int // hosts of the watch that are there
	Alike int // those with the sign, within Rules.MassWindow
}

// over tells whether that is more than happens at once by chance.
func (w Window) over(r Rules) bool {
	return w.Alike > max(r.MassHosts, w.Known*r.MassPercent/100)
}

// signMissing is the sign of hosts without any sign of life.
const signMissing = "missing"

// DecideMass says whether what the window shows is told as one, and whether
// the single events are held back meanwhile. Each that is held is judged again
// by its next visit: what was confirmed and still is so is told then, what
// passed is not.
//
// Missing hosts are held for as long as there are so many, at most MassHold;
// other changes for MassWindow.
func DecideMass(old *Mass, sign string, w Window, r Rules) (now *Mass, tell event.Action, held bool) {
	over := w.over(r)
	switch {
	case old == nil && !over:
		return nil, "", false
	case old == nil:
		tell = event.WatchMassChange
		if sign == signMissing {
			tell = event.WatchUnreachable
		}
		return &Mass{Sign: sign, Since: w.At}, tell, true
	case sign == signMissing && !over:
		return nil, event.WatchRecovered, false
	case sign == signMissing:
		return old, "", w.At.Sub(old.Since) < r.MassHold
	case w.At.Sub(old.Since) < r.MassWindow:
		return old, "", true
	case !over:
		return nil, "", false
	default:
		return old, "", false
	}
}

// signOf is what an endpoint may have in common with those of other hosts while
// something about it is being confirmed; "" when nothing is. What is a matter
// of one host, like its certificate, is no sign.
func signOf(e *Endpoint) string {
	switch {
	case e.Status == Candidate && e.Pending != nil && e.Pending.Action == event.ServiceNew:
		return "new " + e.Key.String()[len(e.Key.Host().String())+1:] + " " + identitySign(e)
	case e.Status != Present:
		return ""
	case e.Closed.Count > 0 && !e.Closed.Last.Before(e.Silent.Last):
		return ReasonClosed
	case e.Silent.Count > 0:
		return ReasonFiltered
	case e.Pending != nil && e.Pending.Action == event.ServiceChanged &&
		len(conflicts(&e.Current, &e.Pending.Candidate)) > 0:
		return "changed " + identitySign(e)
	default:
		return ""
	}
}

func identitySign(e *Endpoint) string {
	o := &e.Pending.Candidate
	return o.Service + "/" + string(o.Tunnel) + "/" + o.Product + "/" + o.Version
}

// concludes names the event of a visit that is held back while many others
// show the same, "" for none.
func concludes(events []event.Event) event.Action {
	for i := range events {
		switch a := events[i].Action; a {
		case event.ServiceNew, event.ServiceChanged, event.ServiceGone:
			return a
		}
	}
	return ""
}
