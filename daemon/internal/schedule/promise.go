package schedule

import "time"

// A Promise is one that can be broken: it is told once when it is, and once
// when it is kept again and has been for a while, so that one that wavers is
// not told each time.
type Promise struct {
	Broken bool      // was told to be, and not to be kept since
	kept   time.Time // since when; zero while it is not
}

// A Verdict is what is to be told of a promise.
type Verdict uint8

// The verdicts.
const (
	Same Verdict = iota
	Overdue
	Recovered
)

// Judge takes how a promise stands now: whether it is broken. It is told as
// recovered when it was kept over settle.
func (p *Promise) Judge(now time.Time, broken bool, settle time.Duration) Verdict {
	switch {
	case broken:
		p.kept = time.Time{}
		if p.Broken {
			return Same
		}
		p.Broken = true
		return Overdue
	case !p.Broken:
		return Same
	case p.kept.IsZero():
		p.kept = now
	}
	if now.Sub(p.kept) < settle {
		return Same
	}
	p.Broken, p.kept = false, time.Time{}
	return Recovered
}
