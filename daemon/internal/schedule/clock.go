package schedule

import "time"

// A Clock is the time that promises are measured by: it begins with the wall
// clock and then goes on at its own pace, whatever the wall clock is set to. It
// belongs to one goroutine.
type Clock struct {
	wall    func() time.Time
	elapsed func() time.Duration
	base    time.Time     // the wall clock at …
	from    time.Duration // … this

	turned time.Time     // when Turn was called last, by this clock
	ahead  time.Duration // of this clock was the wall clock then
}

// NewClock starts a clock. Elapsed is the time since some moment, which counts
// on while the machine sleeps; nil: that of wall, where it does not.
func NewClock(wall func() time.Time, elapsed func() time.Duration) *Clock {
	if elapsed == nil {
		begun := wall()
		elapsed = func() time.Duration { return wall().Sub(begun) }
	}
	c := &Clock{wall: wall, elapsed: elapsed, base: wall().Round(0).UTC(), from: elapsed()}
	c.turned = c.Now()
	return c
}

// Now is the time by this clock.
func (c *Clock) Now() time.Time { return c.base.Add(c.elapsed() - c.from) }

// Wall is the time by the wall clock, without Go's monotonic reading.
func (c *Clock) Wall() time.Time { return c.wall().Round(0) }

// At gives by this clock what is t by the wall clock as it is set now.
func (c *Clock) At(t time.Time) time.Time { return c.Now().Add(t.Round(0).Sub(c.Wall())) }

// Ago is At for what has happened: what lies in the future comes from a wall
// clock that was set back since, and counts as just now. A zero time stays one.
func (c *Clock) Ago(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	at, now := c.At(t), c.Now()
	if at.After(now) {
		return now
	}
	return at
}

// WallAt gives by the wall clock as it is set now what is t by this clock.
func (c *Clock) WallAt(t time.Time) time.Time { return c.Wall().Add(t.Sub(c.Now())) }

// Turn is called each time the loop comes round, and tells how long that took,
// and by how much the wall clock was set ahead meanwhile (below 0: back).
func (c *Clock) Turn() (took, set time.Duration) {
	now := c.Now()
	ahead := c.Wall().Sub(now)
	took, set = now.Sub(c.turned), ahead-c.ahead
	c.turned, c.ahead = now, ahead
	return took, set
}
