// Package session holds the conversation with one endpoint until it is known
// what answers there or a budget is spent. It ends always, whatever the peer
// does, and its result is an [probes.Observation].
//
// A [Machine] is one visit, and it is pure: bytes, errors and the time go in
// as an [Event]; what to open, send and close comes out as an [Action]. It
// reads no clock, starts no goroutine and touches no socket.
//
// What is asked follows the reference's order: first only listen, then the
// probes that list the port, then the others up to the intensity; a soft match
// narrows the rest, and a match that says TLS starts again inside a tunnel.
// Beside a probe that is met with silence the next ones are asked already, yet
// what is told is what the order gives. Nor does it depend on how the network
// cuts an answer into segments: only final answers are matched.
//
// A [Prober] never changes for its users, so any number of goroutines may
// share it. A Machine belongs to one goroutine at a time.
//
// # Cost
//
// A visit sends at most [Settings.MaxProbes] probes, moves at most
// [Settings.MaxBytes] bytes and waits at most [Settings.MaxWait] for answers.
// It holds at most [Settings.Connections] connections at a time, two while it
// is new and its peer silent, and keeps [Settings.MaxAnswer] bytes of an
// answer. What [Settings] let it ask once the identity is settled comes on top,
// as they say. While it waits it holds about 3 KiB and what came so far.
//
// # How to read it
//
// What happens one after the other is written one after the other: each wait
// names the function that goes on when it is over. machine.go turns events
// into waits that are over; connect.go and line.go open connections and wait
// on them; climb.go is the visit up to the first probe, lane.go one probe,
// ladder.go several side by side, udp.go the same without connections;
// tunnel.go is about TLS, offering.go, resume.go and dtls.go about its
// handshakes; judge.go and verdict.go draw the conclusions. What is asked when the
// identity is known begins in extras.go.
package session

import (
	"errors"
	"math/rand/v2"
	"time"

	"sonde/match"
	"sonde/probes"
)

// Config is what a Prober needs.
type Config struct {
	Database *probes.Database
	Settings Settings
	// Identity tells the peers who asks.
	Identity probes.Identity
	// XID gives the first transaction id of a SunRPC conversation, which a
	// stranger should not guess. It is called by each visit; nil: at random.
	XID func() uint32
}

// A Prober visits endpoints.
type Prober struct {
	db       *probes.Database
	settings Settings
	identity probes.Identity
	xid      func() uint32
	ladders  ladders
}

// New checks the settings and makes a Prober.
func New(cfg Config) (*Prober, error) {
	if cfg.Database == nil {
		return nil, errors.New("session: no database")
	}
	if err := cfg.Settings.check(); err != nil {
		return nil, err
	}
	if cfg.XID == nil {
		cfg.XID = rand.Uint32
	}
	return &Prober{db: cfg.Database, settings: cfg.Settings, identity: cfg.Identity, xid: cfg.XID}, nil
}

// Settings gives those that bound the visits.
func (p *Prober) Settings() Settings { return p.settings }

// Remembered is how an endpoint was identified before. The zero value means
// that it was not.
type Remembered struct {
	Probe  string        // Observation.Probe
	Tunnel probes.Tunnel // Observation.Tunnel
	Offer  int           // Observation.Offer
	// Shut is what a TLS server showed that lets nobody in without more than we
	// offer; nil: it let us in, or speaks no TLS.
	Shut *probes.TLSFacts

	Soft string // the service, if it was only a soft match: enough again

	Service string // Observation.Service
	Turn    int    // Observation.Turn
	Program uint32 // that a grinder found; 0: none

	// Extras says that what is asked beside the identity is due again. It is
	// asked anyway where nothing is remembered, or another service answers. The
	// program that a grinder found is asked for each time, as it is the
	// identity.
	Extras bool

	// Heard is what discovery drew from a UDP endpoint a moment ago; nil:
	// nothing. If it settles the identity, that is not asked for again.
	Heard *Heard
}

// Heard is an answer to the payload of a probe, which came before the visit.
type Heard struct {
	Sent, Answer []byte
	At           time.Time // of the answer
}

// Recall gives what the next visit should remember of an observation.
func Recall(o *probes.Observation) Remembered {
	r := Remembered{Probe: o.Probe, Tunnel: o.Tunnel, Offer: o.Offer, Service: o.Service, Turn: o.Turn}
	if o.Strength == probes.Soft {
		r.Soft = o.Service
	}
	if o.Tunnel == probes.TLS && len(o.TLS) > 0 && o.TLS[0].Alert != "" {
		facts := o.TLS[0]
		r.Shut = &facts
	}
	if n, ok := groundProgram(o); ok {
		r.Program = n
	}
	return r
}

// NewMachine makes a visit to an endpoint. A remembered probe is sent alone,
// and the others only if its answer gives no hard match.
//
// sc is the memory of the searches. Machines that are never asked at the same
// time may share one.
func (p *Prober) NewMachine(ep probes.Endpoint, known Remembered, sc *match.Scratch) *Machine {
	m := &Machine{visit: *newVisit(p, ep, known)}
	m.scratch = sc
	return m
}
