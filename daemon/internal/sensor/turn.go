package sensor

import (
	"errors"
	"maps"
	"slices"
	"time"
)

const (
	// sleptFor is how long the machine must have slept for what was under way
	// to be given up: longer than the two clocks can be read apart.
	sleptFor = time.Second
	// setBy is by how much the wall clock must be set to be worth a word:
	// more than time servers correct at once.
	setBy = 2 * time.Second
)

var errSlept = errors.New("the machine slept")

// turn notes, each time the loop comes round, whether the machine slept or its
// clock was set. Due times are by a clock that goes on through both.
func (s *Sensor) turn() {
	took, set := s.clock.Turn()
	awake := time.Since(s.turned) // by a clock that stops while the machine sleeps
	s.turned = time.Now()
	if set > setBy || set < -setBy {
		s.cfg.Log.Warn("the clock was set", "by", set.Round(time.Millisecond))
	}
	if slept := took - awake; slept > sleptFor {
		s.cfg.Log.Warn("the machine slept", "for", slept.Round(time.Millisecond))
		s.wake()
	}
}

// wake begins anew what was under way when the machine fell asleep: what came
// of it until then may be lost, and silence means nothing.
func (s *Sensor) wake() {
	for f := range s.air {
		if !f.taken {
			f.recalled = true
			f.cancel(errSlept)
		}
	}
	for p := range s.passes {
		p.spoiled = true
	}
	s.takeUp(slices.Collect(maps.Values(s.watches))...)
}
