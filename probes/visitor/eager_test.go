package visitor

import (
	"testing"
	"time"

	"sonde/probes"
	"sonde/probes/engine"
	"sonde/probes/engine/enginetest"
	"sonde/probes/session"
)

// An eager loop has done what is posted before Post returns, as a loop of its own
// thread may have when the poster is not scheduled for a moment.
type eager struct{ *enginetest.Loop }

func (l eager) Post(f func()) bool { f(); return true }

// TestVisitMayEndBeforeBeginReturns: what counts the visit must do so before the
// loop can end it.
func TestVisitMayEndBeforeBeginReturns(t *testing.T) {
	l := enginetest.New()
	v := newTest(t, []engine.Loop{eager{l}}, nil, func(ep probes.Endpoint) *script {
		return &script{ep: ep, on: func(*script, time.Time, session.Event) []session.Action {
			return []session.Action{{Kind: session.Finish}}
		}}
	})
	ended := 0
	v.Begin(probes.Endpoint{Addr: peer.Addr(), Port: peer.Port(), Transport: probes.TCP}, session.Remembered{},
		func(probes.Observation) { ended++ })
	if ended != 1 {
		t.Errorf("ended %d times", ended)
	}
	v.Close()
	l.Close()
}
