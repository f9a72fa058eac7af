package sensor

import (
	"context"
	"slices"
	"time"

	"sonde/capture"
)

// looksAtOnce bounds the looks that run, which take a goroutine each: at two
// tries of a second, 32 look at 16 silent hosts per second, which is more than
// fall silent unless the way to all of them is broken. The others wait.
const looksAtOnce = 32

// A look tries a few targets aside from any sweep.
type look struct {
	looker  Looker
	watch   string
	targets []capture.Target
	from    time.Time       // not before; zero: at once
	over    func(*look)     // called by the loop when the look is
	replies []capture.Reply // what was seen, valid when it is over
	stats   capture.Stats
	err     error
}

// alive tells whether anything gave a sign of life.
func (l *look) alive() bool {
	return slices.ContainsFunc(l.replies, func(r capture.Reply) bool {
		return r.Kind != capture.Silent && r.Kind != capture.Unreachable
	})
}

// looking is the looks of a sensor.
type looking struct {
	now   int     // that run
	ready []*look // that wait for room
	later []*look // that wait for their time, which is the same for all: in order
}

// look puts a look on its way.
func (s *Sensor) look(l *look) {
	if l.from.IsZero() {
		s.looking.ready = append(s.looking.ready, l)
		return
	}
	s.looking.later = append(s.looking.later, l)
}

// startLooks starts what is due, as far as there is room. The loop turns each
// second at least, which is soon enough for what waits for its time.
func (s *Sensor) startLooks(ctx context.Context) {
	k := &s.looking
	for len(k.later) > 0 && !s.now().Before(k.later[0].from) {
		k.ready, k.later = append(k.ready, k.later[0]), k.later[1:]
	}
	for len(k.ready) > 0 && k.now < looksAtOnce && ctx.Err() == nil {
		l := k.ready[0]
		k.ready = k.ready[1:]
		if s.admitted[l.watch].shut != "" {
			l.err = errShut
			l.over(l)
			continue
		}
		k.now++
		s.running.Go(func() {
			l.stats, l.err = l.looker.Look(ctx, slices.Values(l.targets), func(r capture.Reply) {
				l.replies = append(l.replies, r)
			})
			select {
			case s.looks <- l:
			case <-ctx.Done():
			}
		})
	}
}
