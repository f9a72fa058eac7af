package simulation

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sonde/daemon/internal/event"
)

// A want is an event that is to be told once, within some time of a change.
type want struct {
	at     time.Duration // since the ledger began
	within time.Duration // 0: tellWithin
	action event.Action
	addr   netip.Addr
	port   uint16
	holds  func(*event.Event) bool // nil: always
	may    bool                    // it need not be told
	own    bool                    // of a server that changed by itself
	told   int
}

// tellWithin is longer than any confirmation takes in the simulation, with what
// may come between.
const tellWithin = 7 * time.Hour

// A ledger compares what is told with what is to be.
type ledger struct {
	t     testing.TB
	begun time.Time
	wants []*want
}

// A score counts what was told.
type score struct {
	changes, told, missed, doubled, wrong, silenced int
	own                                             int // told of servers that changed by themselves
	byAction                                        map[event.Action]int
}

// expect notes events that follow from something that happens at a time.
func (l *ledger) expect(at time.Duration, wants ...want) {
	for _, x := range wants {
		x.at = at
		l.wants = append(l.wants, &x)
	}
}

// mayBeFalse are the classes that must not be told without a change.
func mayBeFalse(a event.Action) bool {
	switch a {
	case event.ServiceNew, event.ServiceChanged, event.ServiceGone, event.ServiceReturned,
		event.HostGone, event.HostReturned, event.HostMoved:
		return true
	default:
		return strings.HasPrefix(string(a), "certificate.")
	}
}

// score counts one event.
func (l *ledger) score(s *score, e *event.Event) {
	s.byAction[e.Action]++
	if e.Silenced {
		s.silenced++
	}
	if !mayBeFalse(e.Action) {
		return
	}
	var of *want // of several the one that is not told yet
	for _, x := range l.wants {
		if x.is(e, l.begun) && (of == nil || of.told > 0) {
			of = x
		}
	}
	if of != nil {
		of.told++
		return
	}
	s.wrong++
	l.t.Errorf("false: %v %s: %s", e.Timestamp.Sub(l.begun), e.Action, e.Message)
}

// is says that an event is the one that is wanted.
func (x *want) is(e *event.Event, begun time.Time) bool {
	after := e.Timestamp.Sub(begun.Add(x.at))
	return x.action == e.Action && e.Endpoint != nil && x.addr == e.Endpoint.Addr && x.port == e.Endpoint.Port &&
		after >= 0 && after < cmp.Or(x.within, tellWithin) && (x.holds == nil || x.holds(e))
}

// sum counts what was missed and told twice.
func (l *ledger) sum(s *score) {
	for _, x := range l.wants {
		if !x.may && !x.own {
			s.changes++
		}
		switch {
		case x.told > 1:
			s.doubled++
			l.t.Errorf("told %d times: %v %s of %s port %d", x.told, x.at, x.action, x.addr, x.port)
		case x.may:
		case x.told == 0:
			s.missed++
			l.t.Errorf("missed: %v %s of %s port %d", x.at, x.action, x.addr, x.port)
		case x.own:
			s.own++
		default:
			s.told++
		}
	}
}

// isKind says that an event tells a change of this kind, with all that belongs
// to it.
func isKind(k event.ChangeKind) func(*event.Event) bool {
	return func(e *event.Event) bool {
		return e.ChangeKind == k && e.Cause == event.CauseTarget && e.Previous != nil && e.Previous.Product != "" &&
			slices.Contains(e.Changed, string(k)) && e.Evidence != nil &&
			strings.Contains(string(e.Evidence.Answer), e.Endpoint.Version)
	}
}
