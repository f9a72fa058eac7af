package sensor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"sonde/daemon/internal/event"
)

// A watch is shut outside of its hours, and while an operator has it paused.
// Nothing is sent for it then: its visits are ended and made later, its sweeps
// wait where they are.

// closeEarly is how long before the end of its hours a watch is shut, so that
// no retransmission comes after it: a kernel's first ones take a second each.
const closeEarly = 3 * time.Second

// Hours says whether something may be sent at a time of the wall clock, and
// until when at least that stays so.
type Hours interface {
	At(t time.Time) (in bool, until time.Time)
}

// Orders are what operators told. Its methods that take no context do not
// block.
type Orders interface {
	// Paused says whether a watch is to send nothing, and why.
	Paused(watch string) (reason string, paused bool)
	// PausedBy tells who wanted that, "" when it is not known.
	PausedBy(watch string) string
	// Released tells when a host was to be asked again; zero: not lately.
	Released(h event.Host) time.Time
	// Release notes that it is, for so long.
	Release(ctx context.Context, h event.Host, keep time.Duration) error
}

var errShut = errors.New("the watch is shut")

// The reasons why a watch is shut.
const (
	shutByHours = "active_hours"
	shutByPause = "paused"
)

// ShutReasons are the reasons why a watch is shut.
var ShutReasons = []string{shutByHours, shutByPause}

// An admission is whether a watch may send.
type admission struct {
	shut   string // why not, "" while it may
	gate   gate
	from   time.Time // by the wall clock: the hours were looked at …
	until  time.Time // … and need not be before this
	inside bool      // they are on
	ends   time.Time // when they are over
}

// admit shuts and opens watches.
func (s *Sensor) admit(ctx context.Context) {
	wall := s.clock.Wall()
	for name, w := range s.watches {
		a := s.admitted[name]
		why, paused := "", false
		if s.cfg.Orders != nil {
			_, paused = s.cfg.Orders.Paused(name)
		}
		switch {
		case paused:
			why = shutByPause
		case w.Hours != nil && !a.on(w.Hours, wall):
			why = shutByHours
		}
		if why != a.shut {
			s.move(ctx, w, a, why)
		}
	}
}

// on says whether the hours are on, and not over soon.
func (a *admission) on(h Hours, wall time.Time) bool {
	if !wall.Before(a.from) && wall.Before(a.until) {
		return a.inside
	}
	in, until := h.At(wall)
	soon, _ := h.At(wall.Add(closeEarly))
	a.inside, a.ends, a.from = in && soon, until, wall
	a.until = until
	if a.inside {
		a.until = until.Add(-closeEarly)
	}
	return a.inside
}

// move shuts a watch, opens it, or notes another reason. A pause is told, as
// silence means nothing while it lasts.
func (s *Sensor) move(ctx context.Context, w *Watch, a *admission, why string) {
	was := a.shut
	a.shut = why
	switch {
	case was == "":
		s.shut(w, a)
	case why == "":
		s.open(w, a)
	}
	s.cfg.Log.Info("watch is shut or opened", "watch", w.Name, "shut_by", why, "was", was)
	switch {
	case !s.loaded: // as it was before the start
	case why == shutByPause:
		s.record(ctx, event.Event{Action: event.SensorDegraded, Cause: event.CauseSelf, Watch: w.Name, Zone: w.Zone,
			Reason: shutByPause, Message: s.pausedText(w.Name)})
	case was == shutByPause:
		s.record(ctx, event.Event{Action: event.SensorRecovered, Cause: event.CauseSelf, Watch: w.Name, Zone: w.Zone,
			Reason: shutByPause, Message: fmt.Sprintf("watch %s is no longer paused", w.Name)})
	}
}

// pausedText says that a watch is paused, by whom and why.
func (s *Sensor) pausedText(watch string) string {
	text := "watch " + watch + " is paused"
	if by := s.cfg.Orders.PausedBy(watch); by != "" {
		text += " by " + by
	}
	text += ": nothing is sent"
	if reason, _ := s.cfg.Orders.Paused(watch); reason != "" {
		text += " (" + reason + ")"
	}
	return text
}

func (s *Sensor) shut(w *Watch, a *admission) {
	s.queue.Hold(w.Name, true)
	a.gate.shut()
	for f := range s.air {
		if f.watch == w && !f.taken {
			f.recalled = true
			f.cancel(errShut)
		}
	}
}

func (s *Sensor) open(w *Watch, a *admission) {
	s.queue.Hold(w.Name, false)
	a.gate.open()
	s.takeUp(w)
}

// window is how long a watch may go on sending, at most most.
func (s *Sensor) window(w *Watch, most time.Duration) time.Duration {
	a := s.admitted[w.Name]
	if w.Hours == nil || a.shut != "" {
		return most
	}
	return max(time.Second, min(most, a.ends.Sub(s.clock.Wall())))
}

// A gate holds a sweep up. The zero value is open.
type gate struct {
	mu     sync.Mutex
	opened chan struct{} // closed by open; nil while it is open
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened == nil {
		g.opened = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}

// pass waits until the gate is open, and says whether it is: not if ctx ended
// before.
func (g *gate) pass(ctx context.Context) bool {
	for {
		g.mu.Lock()
		opened := g.opened
		g.mu.Unlock()
		if opened == nil {
			return true
		}
		select {
		case <-opened:
		case <-ctx.Done():
			return false
		}
	}
}

// skip is what a sweep asks before each address: it waits at the gate, and
// leaves out the hosts that rest.
func (g *gate) skip(ctx context.Context, resting func(netip.Addr) bool) func(netip.Addr) bool {
	return func(a netip.Addr) bool {
		return !g.pass(ctx) || resting != nil && resting(a)
	}
}
