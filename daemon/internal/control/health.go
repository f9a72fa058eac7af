package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Health says whether silence may be trusted.
type Health struct {
	Healthy  bool      `json:"healthy"`
	Problems []Problem `json:"problems"`
}

// A Problem is one reason why not.
type Problem struct {
	Of   string `json:"of"`             // "sensor", "promise", "output" or "store"
	Name string `json:"name,omitempty"` // of the watch or the output
	Text string `json:"text"`           // for people
}

// healthz answers GET /healthz: 200 while the sensor keeps what it promises, 503
// while it does not.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	h := s.judge(s.look())
	code := http.StatusOK
	if !h.Healthy {
		code = http.StatusServiceUnavailable
	}
	writeJSON(w, code, h)
}

// judge says what is wrong: a loop hangs, as the watchdog sees it, nothing may
// be asked, a promise is broken that is not best_effort, or events do not reach
// an output. What is told as sensor.degraded after some time counts at once.
func (s *Server) judge(l *look) Health {
	h := Health{Problems: []Problem{}}
	add := func(of, name, format string, args ...any) {
		h.Problems = append(h.Problems, Problem{of, name, fmt.Sprintf(format, args...)})
	}
	if since := time.Since(s.cfg.Beat()); since > s.cfg.StallAfter {
		add("sensor", "", "the loop has not come round for %s", since.Round(time.Second))
	}
	if s.cfg.Hanging != nil {
		if loop, since := s.cfg.Hanging(); loop != "" {
			add("sensor", "", "the loop of %s has been at one thing for %s", loop, since.Round(time.Second))
		}
	}
	switch {
	case l == nil:
		add("sensor", "", "%s", errBetween.Text)
		return h
	case errors.Is(l.err, context.DeadlineExceeded):
		add("sensor", "", "the loop does not answer within %s", s.within)
	case l.err != nil:
		add("sensor", "", "%v", l.err)
	case l.overview.Held:
		add("sensor", "", "the disk is nearly full: no visit and no sweep begins")
	}
	for i := range l.overview.Watches {
		w := &l.overview.Watches[i]
		if l.of.BestEffort[w.Watch] {
			continue
		}
		if w.VerifyBroken {
			add("promise", w.Watch, "verify_every = %s is broken: %d of %d services are overdue", w.VerifyEvery, w.Overdue, w.Known)
		}
		if w.DiscoverBroken {
			add("promise", w.Watch, "discover_every = %s is broken", w.DiscoverEvery)
		}
	}
	for i := range l.outputs {
		if o := &l.outputs[i]; o.Down {
			add("output", o.Name, "events are not delivered since %s, %d wait", o.Since.UTC().Format(time.RFC3339), o.Backlog)
		}
	}
	if l.storeErr != nil {
		add("store", "", "%v", l.storeErr)
	}
	h.Healthy = len(h.Problems) == 0
	return h
}
