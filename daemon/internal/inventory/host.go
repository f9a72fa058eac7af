package inventory

import (
	"net/netip"
	"time"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// A Host is what is known of an address across its endpoints.
type Host struct {
	ID        event.Host
	Watch     string
	Status    Status // Unknown while none of its endpoints was ever told
	FirstSeen time.Time
	Alive     time.Time // its last sign of life

	Missed     Streak     // visits of any endpoint without a sign of life, since the last one
	Out        time.Time  // when its last outage ended
	Back       Streak     // signs of life since it was told to be gone
	MAC        string     // of an on-link host
	Move       *Move      // a machine that was elsewhere seems to be here now
	Origin     netip.Addr // where its machine was when another one took its address
	Everything int64      // the shape that too many of its endpoints have alike; 0: none
}

// signOfLife is what a visit says about its host. Silence speaks of TCP alone,
// and an unreachable network of the way to the host.
func signOfLife(v *Visit) proof {
	o := &v.Observation
	switch p := proofOf(o); {
	case p == there, p == refused:
		return there
	case p == silent && v.Key.Transport == probes.TCP:
		return silent
	case o.Outcome == probes.OutcomeUnreachable && o.Reason != reasonNetwork:
		return silent
	default:
		return noProof
	}
}

// reasonNetwork is the reason of an observation when there was no way to the
// host's network.
const reasonNetwork = "net-unreach"

// A HostVerdict is what a visit changes about its host.
type HostVerdict struct {
	Gone     bool // let its endpoints go with it, and tell it unless …
	Quiet    bool // … it was told before, and only seemed to be back
	Returned bool // tell it
	Next     Next // when to ask the same endpoint again; zero: no wish
}

// DecideHost says what a host is after a visit to one of its endpoints. It is
// as pure as Decide. With v.Held a host is not found to be gone, however long
// it is missing. With v.Late what may have moved must be missing twice as long.
func DecideHost(old Host, v Visit, r Rules) (Host, HostVerdict) {
	h, verdict := old, HostVerdict{}
	switch signOfLife(&v) {
	case there:
		if !h.Missed.empty() && v.At.Sub(h.Missed.First) >= outage {
			h.Out = v.At
		}
		h.Missed = Streak{}
		h.Alive = v.At
		if h.Status != Gone {
			break
		}
		h.Back.add(v.At)
		if h.Back.holds(r.NewVisits, r.NewSpacing) {
			h.Status, h.Back, verdict.Returned = Present, Streak{}, true
		} else {
			verdict.Next = Next{h.Back.due(r.NewVisits, r.NewSpacing, v.At), ConfirmNew}
		}
	case silent:
		h.Missed.add(v.At)
		lasted := h.Missed.holds(r.FilteredVisits, r.GoneAfter) && v.At.Sub(h.Alive) >= r.GoneAfter
		switch {
		case h.Status == Gone && lasted:
			h.Back, verdict.Gone, verdict.Quiet = Streak{}, !old.Back.empty(), true
		case h.Status != Present:
		case lasted && v.Held: // to be judged again, from now on
			h.Missed = Streak{1, v.At, v.At}
		case lasted && v.Late && h.mayMove(&v) && !h.Missed.holds(r.FilteredVisits, 2*r.GoneAfter):
			verdict.Next = Next{h.Missed.due(r.FilteredVisits, 2*r.GoneAfter, v.At), ConfirmGone}
		case lasted:
			h.Status, h.Back, verdict.Gone = Gone, Streak{}, true
		case h.Missed.Count < triesEach*atLeastOne(r.FilteredVisits):
			verdict.Next = Next{h.Missed.due(r.FilteredVisits, r.GoneAfter, v.At), ConfirmGone}
		}
	}
	return h, verdict
}

// mayMove says that the host's machine would be known again at another address.
func (h *Host) mayMove(v *Visit) bool { return (h.MAC != "" || v.Keyed) && h.ID.Addr.Is4() }

// outage is how long a host must be without a sign of life, though asked, for
// the silence of its services to say nothing about each of them. A host that is
// there gives one sooner: when a service is silent another one is asked at once.
const outage = 2 * time.Minute

func (s Streak) empty() bool { return s.Count == 0 }

// A Move is a machine that was known at another address, and now answers at
// this one: it has moved, or it has two addresses.
type Move struct {
	MAC   string
	Key   string `json:",omitempty"` // an SSH host key, where there is no MAC address
	From  netip.Addr
	Since time.Time
	Seen  Streak
}

// DecideMove takes the MAC address that a visit saw, or else the SSH host key.
// other is the only host of the zone and the IP version that is known by it, if
// there is one. The machine has moved when other is without it: silent since, or
// shown to be another machine. Until that is clear h.Move is set. IPv6 hosts have
// several addresses anyway, and do not move.
func DecideMove(h Host, other *Host, t Trace, v Visit, r Rules) (now Host, moved bool) {
	switch {
	case t.Key != "":
		return decideMoveByKey(h, other, t, v, r)
	case v.MAC == "":
		if h.Move != nil && v.At.Sub(h.Move.Since) > r.GoneAfter {
			h.Move = nil
		}
		return h, false
	case v.MAC == h.MAC, other == nil, h.ID.Addr.Is6():
		h.MAC, h.Move = v.MAC, nil
		return h, false
	}
	m := Move{MAC: v.MAC, From: other.ID.Addr, Since: v.At}
	if h.Move != nil && h.Move.MAC == m.MAC && h.Move.From == m.From {
		m = *h.Move
	}
	m.Seen.add(v.At)
	h.Move = &m
	replaced := other.Move != nil && other.Move.MAC != "" && other.Move.MAC != m.MAC
	left := replaced || other.Status == Gone || other.Missed.Count >= 2
	switch {
	case left && m.Seen.holds(r.NewVisits, r.NewSpacing):
		return h, true
	case !left && other.Alive.After(m.Since), v.At.Sub(m.Since) > r.GoneAfter:
		h.MAC, h.Move = v.MAC, nil // one machine with two addresses
	}
	return h, false
}
