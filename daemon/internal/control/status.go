package control

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/quiet"
	"sonde/daemon/internal/sensor"
	"sonde/probes"
)

// A Status is what the sensor does now.
type Status struct {
	Sensor    event.Sensor  `json:"sensor"`
	Started   time.Time     `json:"started"`
	Health    Health        `json:"health"`
	Discovery Discovery     `json:"discovery"`
	Database  string        `json:"database"` // its hash
	Events    Events        `json:"events"`
	Visits    Visits        `json:"visits"`
	Hosts     Hosts         `json:"hosts"`
	Sweeps    []Sweep       `json:"sweeps"` // under way
	Watches   []Watch       `json:"watches"`
	Outputs   []Output      `json:"outputs"`
	Orders    []quiet.Order `json:"orders"` // of operators: pauses, silences, releases
	// Maintenance are the windows of the configuration.
	Maintenance []quiet.Standing `json:"maintenance"`
	Counts      map[string]int   `json:"counts"` // of discovery and listening, as in heartbeats
}

// Discovery is how ports are found, and what the sensor works without.
type Discovery struct {
	Method  string `json:"method"` // "syn" or "connect"
	Reason  string `json:"reason"`
	Without string `json:"without,omitempty"` // "" for nothing
}

// Events are those that were committed.
type Events struct {
	Epoch   int64 `json:"epoch"`
	LastSeq int64 `json:"last_seq"`
}

// Visits are conversations with endpoints.
type Visits struct {
	UnderWay int                    `json:"under_way"`
	Due      int                    `json:"due"`   // wait for room
	Later    int                    `json:"later"` // wait for their time
	Outcomes map[probes.Outcome]int `json:"outcomes"`
}

// Hosts are counted that are asked otherwise than the rest.
type Hosts struct {
	LeftAlone int `json:"left_alone"` // as they fell silent after they were asked
	Careful   int `json:"careful"`    // as they are fragile
}

// A Sweep is one under way.
type Sweep struct {
	Watch     string           `json:"watch"`
	Transport probes.Transport `json:"transport"`
	Since     time.Time        `json:"since"`
	Targets   uint64           `json:"targets"`
	Asked     uint64           `json:"asked,omitempty"` // of these; 0: not told
	Waits     int              `json:"waits"`           // visits of what it found, that it waits for
	Asks      bool             `json:"asks"`            // it still asks
}

// A Watch is how a watch stands.
type Watch struct {
	Name        string  `json:"name"`
	Zone        string  `json:"zone"`
	Shut        string  `json:"shut,omitempty"` // why nothing is sent: active_hours or paused
	ShutReason  string  `json:"shut_reason,omitempty"`
	Hours       *Hours  `json:"active_hours,omitempty"` // nil: always
	BestEffort  bool    `json:"best_effort,omitempty"`
	Verify      Promise `json:"verify"`
	Discover    Promise `json:"discover"`
	Known       int     `json:"known"`
	Fresh       int     `json:"fresh"`
	Overdue     int     `json:"overdue"`
	Unstable    int     `json:"unstable"`
	Quarantined int     `json:"quarantined"`
	Held        int     `json:"held"`
	Blocked     int     `json:"blocked"`
	Due         int     `json:"due"`   // visits and sweeps that wait for room
	Later       int     `json:"later"` // … for their time
}

// Hours say whether a watch may send by its active_hours.
type Hours struct {
	On    bool      `json:"on"`
	Until time.Time `json:"until"` // at least
}

// A Promise is verify_every or discover_every, and how it is kept.
type Promise struct {
	Every  float64   `json:"every_s"` // 0: nothing is promised
	Broken bool      `json:"broken"`
	Age    *float64  `json:"age_s,omitempty"` // of the service that waits longest and is overdue; since the last complete sweep began
	Next   time.Time `json:"next,omitzero"`
}

// An Output is one destination of events.
type Output struct {
	Name     string    `json:"name"`
	Target   string    `json:"target"`
	Down     bool      `json:"down"`
	Since    time.Time `json:"since,omitzero"` // that it is
	Backlog  int64     `json:"backlog"`        // events it is behind
	Failures int       `json:"failures"`       // since the start
	Dropped  int64     `json:"dropped"`        // since the start
}

// status answers GET /v1/status.
func (s *Server) status(http.ResponseWriter, *http.Request) (any, error) {
	l := s.look()
	if l == nil {
		return nil, errBetween
	}
	g, v := l.of, &l.overview
	orders := append([]quiet.Order{}, g.Orders.Orders()...) // never null
	st := Status{
		Sensor: g.Store.Sensor(), Started: s.cfg.Started.UTC(), Health: s.judge(l), Discovery: g.Discovery,
		Database: g.Database.Hash, Events: Events{g.Store.Epoch(), l.lastSeq},
		Visits: Visits{UnderWay: v.Visits, Outcomes: v.Outcomes}, Hosts: Hosts{v.Resting, v.Careful},
		Sweeps: []Sweep{}, Watches: []Watch{}, Outputs: l.outputs, Orders: orders, Maintenance: g.Orders.Windows(), Counts: v.Discovery,
	}
	for i := range v.Sweeps {
		u := &v.Sweeps[i]
		st.Sweeps = append(st.Sweeps, Sweep{u.Watch, u.Transport, u.Since.UTC(), u.Targets, u.Asked, u.Owed, u.Asks})
	}
	for i := range v.Watches {
		w := watchOf(&v.Watches[i], g)
		st.Visits.Due, st.Visits.Later = st.Visits.Due+w.Due, st.Visits.Later+w.Later
		st.Watches = append(st.Watches, w)
	}
	slices.SortFunc(st.Watches, func(a, b Watch) int { return strings.Compare(a.Name, b.Name) })
	return &st, nil
}

func watchOf(t *sensor.Standing, g *Generation) Watch {
	w := Watch{Name: t.Watch, Zone: t.Zone, Shut: t.Shut, BestEffort: g.BestEffort[t.Watch],
		Verify:   Promise{Every: t.VerifyEvery.Seconds(), Broken: t.VerifyBroken, Next: t.NextVisit.UTC()},
		Discover: Promise{Every: t.DiscoverEvery.Seconds(), Broken: t.DiscoverBroken, Next: t.NextSweep.UTC()},
		Known:    t.Known, Fresh: t.Fresh, Overdue: t.Overdue, Unstable: t.Unstable,
		Quarantined: t.Quarantined, Held: t.Held, Blocked: t.Blocked, Due: t.Due, Later: t.Later}
	if hours := g.Hours[t.Watch]; hours != nil {
		on, until := hours(time.Now())
		w.Hours = &Hours{on, until.UTC()}
	}
	if reason, paused := g.Orders.Paused(t.Watch); paused {
		w.ShutReason = reason
	}
	if t.Oldest > 0 {
		w.Verify.Age = new(t.Oldest.Seconds())
	}
	if t.SweepAge >= 0 {
		w.Discover.Age = new(t.SweepAge.Seconds())
	}
	return w
}
