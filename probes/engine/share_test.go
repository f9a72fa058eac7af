package engine_test

import (
	"errors"
	"io"
	"net/netip"
	"sync"
	"testing"
	"time"

	"sonde/probes/engine"
	"sonde/probes/engine/enginetest"
)

// TestLoopsShareTheSockets: with one socket for all loops, each connection has
// its turn, as soon as another is done and not by pauses, which would take
// 20 ms each.
func TestLoopsShareTheSockets(t *testing.T) {
	for name, open := range map[string]func(testing.TB, engine.Config) *engine.Engine{
		"system": openSystem, "net": openNet,
	} {
		t.Run(name, func(t *testing.T) {
			e := open(t, engine.Config{Loops: 2, MaxSockets: 1})
			to := enginetest.Real(t, e).Serve(t, "tcp", netip.MustParseAddr("127.0.0.1"), enginetest.Greets)
			const each = 100
			var done sync.WaitGroup
			done.Add(2 * each)
			began := time.Now()
			for _, l := range e.Loops() {
				l.Post(func() {
					for range each {
						r := &enginetest.Recorder{OnEnded: func(err error) {
							if !errors.Is(err, io.EOF) {
								t.Error(err)
							}
							done.Done()
						}}
						r.OnOpened = func() {
							if s := e.Stats(); s.Open != 1 {
								t.Errorf("%+v", s)
							}
						}
						r.Open(l, engine.Dial{Network: "tcp", Remote: to, Timeout: 10 * time.Second})
					}
				})
			}
			done.Wait()
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("%d connections took %v", 2*each, took)
			}
		})
	}
}
