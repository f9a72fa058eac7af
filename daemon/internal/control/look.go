package control

import (
	"context"
	"time"

	"sonde/daemon/internal/sensor"
)

// How often the sensor's loop is asked.
const (
	// lookWithin is how long the loop has to answer. It comes round at least
	// every second, and later on a machine that has much else to do.
	lookWithin = 10 * time.Second
	// lookShare is the share of the loop's time that asking it may take: one in
	// so many.
	lookShare = 20
	// lookAgain is how long what was seen holds at least.
	lookAgain = 200 * time.Millisecond
)

// A look is what was seen of the sensor at one time.
type look struct {
	of       *Generation
	at       time.Time
	until    time.Time // it holds
	overview sensor.Overview
	outputs  []Output
	lastSeq  int64
	err      error // of the sensor, which then did not answer
	storeErr error
}

// look gives what was seen of the sensor lately. Many who ask at once share one
// look. Between two generations there is none.
func (s *Server) look() *look {
	g := s.now.Load()
	if g == nil {
		return nil
	}
	s.looking.Lock()
	defer s.looking.Unlock()
	if l := s.last; l != nil && l.of == g && time.Now().Before(l.until) {
		return l
	}
	s.last = lookAt(g, s.within)
	return s.last
}

// forget has the next who asks see the sensor as it is then.
func (s *Server) forget() {
	s.looking.Lock()
	defer s.looking.Unlock()
	s.last = nil
}

func lookAt(g *Generation, within time.Duration) *look {
	// Not the context of who asks: the look is for the others too.
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	l := &look{of: g, at: time.Now()}
	l.overview, l.err = g.Sensor.Overview(ctx)
	took := time.Since(l.at)
	if l.err != nil {
		took = 0 // it had nothing to do with us
	}
	// The store has time of its own: what it tells holds while the loop hangs.
	ctx, cancel = context.WithTimeout(context.Background(), lookWithin)
	defer cancel()
	if l.lastSeq, l.storeErr = g.Store.LastSeq(ctx); l.storeErr == nil {
		l.outputs, l.storeErr = g.Outputs(ctx)
	}
	l.until = time.Now().Add(max(lookAgain, lookShare*took))
	return l
}
