package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/schedule"
	"sonde/daemon/internal/sensor"
	"sonde/probes"
)

// pastMost is how much of an endpoint's history is told: the newest.
const pastMost = 100

// An Asker is a watch that asks an endpoint, and how.
type Asker struct {
	Watch, Zone string
	Manner      Manner
}

// A Manner is what a watch may ask.
type Manner struct {
	Allow     probes.Needs
	Intensity int
}

// An Explanation is all that is known of an endpoint, and why.
type Explanation struct {
	Endpoint string `json:"endpoint"`
	Zone     string `json:"zone,omitempty"`
	Watch    string `json:"watch,omitempty"`
	Scope    string `json:"scope"`  // which watch asks it, or why none does
	Status   string `json:"status"` // candidate, present, gone, away or unknown
	Retired  bool   `json:"retired,omitempty"`

	Is      *probes.Observation   `json:"is,omitempty"`      // what is believed
	Others  []*probes.Observation `json:"others,omitempty"`  // further members of a pool
	Pending *Pending              `json:"pending,omitempty"` // what is being confirmed

	FirstSeen    time.Time `json:"first_seen,omitzero"`
	LastSeen     time.Time `json:"last_seen,omitzero"`
	LastVisited  time.Time `json:"last_visited,omitzero"`
	LastVerified time.Time `json:"last_verified,omitzero"`
	AbsentAt     time.Time `json:"absent_at,omitzero"` // when a sweep had found nothing there
	Unverified   bool      `json:"unverified,omitempty"`
	Unstable     bool      `json:"unstable,omitempty"`

	Lines   *Lines           `json:"lines,omitempty"`   // of the database, that explain the answer
	Answers []Answer         `json:"answers,omitempty"` // what each probe drew, where no hard line explains it
	Full    bool             `json:"full,omitempty"`    // there was no room for further answers
	Ladder  []Rung           `json:"ladder"`
	History []inventory.Past `json:"history"` // the newest first
	Next    *Next            `json:"next,omitempty"`

	asked []string // probes, in all visits
}

// An Answer is what one probe drew, secrets blotted out.
type Answer struct {
	Probe  string        `json:"probe"`
	Tunnel probes.Tunnel `json:"tunnel,omitempty"`
	Answer probes.Bytes  `json:"answer"` // up to [probes.MaxAnswerData] bytes of it
	Length int           `json:"length"` // of the whole
}

// Pending is what was seen, and is not believed yet.
type Pending struct {
	Action   event.Action        `json:"action"` // that will be told
	Cause    event.Cause         `json:"cause"`
	Is       *probes.Observation `json:"is"`
	Agreeing int                 `json:"agreeing"` // visits so far
	Since    time.Time           `json:"since"`
}

// Next is when the endpoint is asked next.
type Next struct {
	Due     time.Time `json:"due,omitzero"` // zero: it is being asked, or is not planned
	Why     string    `json:"why"`
	Every   float64   `json:"every_s,omitempty"` // the promise, slowed where it is
	Shut    string    `json:"shut,omitempty"`    // why nothing is sent for the watch now
	Careful bool      `json:"careful,omitempty"` // the host is asked with care
	Rests   time.Time `json:"rests,omitzero"`    // the host is left alone until then
}

// explain answers GET /v1/explain?endpoint=…&zone=….
func (s *Server) explain(_ http.ResponseWriter, r *http.Request) (any, error) {
	q := r.URL.Query()
	k, err := ParseEndpoint(q.Get("endpoint"))
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "%v", err)
	}
	g, done, err := s.reading(r)
	if err != nil {
		return nil, err
	}
	defer done()
	known, err := g.Store.Find(r.Context(), k.Addr, k.Transport, k.Port)
	if err != nil {
		return nil, err
	}
	askers, why := g.Asks(k.Transport, k.Addr, k.Port)
	if k.Zone, err = zoneOf(q.Get("zone"), known, askers); err != nil {
		return nil, err
	}
	x := &Explanation{Endpoint: FormatEndpoint(k), Zone: k.Zone, Scope: why, Status: "unknown", Ladder: []Rung{},
		History: []inventory.Past{}}
	for i := range known {
		if known[i].Key.Zone == k.Zone {
			x.tell(g, &known[i])
		}
	}
	if i := slices.IndexFunc(askers, func(a Asker) bool { return a.Zone == k.Zone }); i >= 0 {
		x.Watch, x.Scope = askers[i].Watch, "watch "+askers[i].Watch+" asks it"
		if err := x.plan(r.Context(), g, k, s.within); err != nil {
			return nil, err
		}
		x.climb(g.Database, k, &askers[i].Manner)
	}
	past, err := g.Store.History(r.Context(), k, pastMost)
	x.History = append(x.History, past...)
	return x, err
}

// zoneOf gives the zone that is meant: the one that was named, or the only one
// that has the endpoint.
func zoneOf(named string, known []inventory.Endpoint, askers []Asker) (string, error) {
	if named != "" {
		return named, nil
	}
	zones := map[string]bool{}
	for i := range known {
		zones[known[i].Key.Zone] = true
	}
	for i := range askers {
		zones[askers[i].Zone] = true
	}
	list := slices.Sorted(maps.Keys(zones))
	switch len(list) {
	case 0:
		return "", nil
	case 1:
		return list[0], nil
	}
	return "", refuse(http.StatusConflict, "it is in the zones %s; say which with --zone", strings.Join(list, " and "))
}

// tell says what the inventory knows.
func (x *Explanation) tell(g *Generation, e *inventory.Endpoint) {
	x.Watch, x.Status, x.Retired = e.Watch, string(e.Status), e.Retired
	x.Is = inventory.Shown(&e.Current)
	x.Is.Addr, x.Is.Port, x.Is.Transport = netip.Addr{}, 0, "" // it is said above
	for i := range e.Others {
		x.Others = append(x.Others, inventory.Shown(&e.Others[i]))
	}
	x.FirstSeen, x.LastSeen, x.LastVisited, x.LastVerified = e.FirstSeen, e.LastSeen, e.LastVisited, e.LastVerified
	x.AbsentAt, x.Unverified, x.Unstable = e.AbsentAt, e.Unverified, e.Swing.Unstable
	if p := e.Pending; p != nil {
		x.Pending = &Pending{p.Action, p.Cause, inventory.Shown(&p.Candidate), p.Agreeing.Count, p.Agreeing.First}
	}
	drawn, full := inventory.Drawn(&e.Current)
	for _, a := range drawn {
		a = inventory.ShownAnswer(a)
		x.Answers = append(x.Answers, Answer{a.Probe, a.Tunnel, a.Data, a.Length})
	}
	x.Full = full
	x.Lines = linesOf(g.Database, e.Key.Transport, &e.Current)
	x.asked = e.Asked
}

// plan says when the endpoint is asked next, and why then.
func (x *Explanation) plan(ctx context.Context, g *Generation, k event.Key, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	p, err := g.Sensor.Next(ctx, k)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return refuse(http.StatusServiceUnavailable, "the sensor's loop does not answer within %s", within)
	case err != nil:
		return err
	}
	x.Next = &Next{Due: p.Due.UTC(), Why: whyDue(&p), Every: p.Every.Seconds(), Shut: p.Shut, Careful: p.Careful, Rests: p.Rests.UTC()}
	return nil
}

// whyDue says for people why a visit is due.
func whyDue(p *sensor.Plan) string {
	if p.Due.IsZero() {
		if p.Every == 0 {
			return "nothing is known there: the next sweep asks"
		}
		return "it is being asked"
	}
	switch p.Kind {
	case schedule.Manual:
		return "somebody waits for it"
	case schedule.Confirm:
		return "what was seen is to be confirmed"
	case schedule.Sighted:
		return "a sweep or listening came upon it"
	case schedule.Verify:
		return fmt.Sprintf("it is asked every %s", p.Every)
	case schedule.Sweep:
	}
	return "a sweep asks it"
}
