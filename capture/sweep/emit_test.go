package sweep

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sonde/capture"
	"sonde/capture/frame"
	"sonde/capture/link"
	"sonde/capture/route"
)

// wide is a budget that allows full batches of all emitters at once.
const wide = 60_000

// A hardWire is a fakeWire whose Send does something first, which may take what
// is sent for itself.
type hardWire struct {
	*fakeWire
	send func(frames [][]byte) (done int, err error)
}

func (x *hardWire) Send(frames [][]byte) (int, error) {
	done, err := x.send(frames)
	if err != nil {
		return done, err
	}
	n, err := x.fakeWire.Send(frames[done:])
	return done + n, err
}

// hardSweeper sweeps by hardWires.
func hardSweeper(t *testing.T, w *world, cfg Config, send func(x *fakeWire, frames [][]byte) (int, error)) *Sweeper {
	t.Helper()
	s := w.sweeper(t, cfg)
	s.cfg.Open = func(h route.Hop, f link.Filter) (Wire, error) {
		wire, err := w.open(h, f)
		if err != nil {
			return nil, err
		}
		x := wire.(*fakeWire)
		return &hardWire{x, func(frames [][]byte) (int, error) { return send(x, frames) }}, nil
	}
	return s
}

func TestEmittersAreUsedWithinWideBudgets(t *testing.T) {
	for _, c := range []struct {
		pace Pacer
		want int
	}{{NewRate(1000), 0}, {NewRate(50_000), 0}, {NewRate(wide), emittersMost}, {unlimited{}, emittersMost}} {
		w := newWorld()
		s := w.sweeper(t, Config{Pace: c.pace})
		r, err := s.newRun(tcpPlan(1, 80))
		if err != nil {
			t.Fatal(err)
		}
		if got := newEmitters(r).n; got != c.want {
			t.Errorf("%d emitters with a burst of %d, want %d", got, c.pace.Burst(), c.want)
		}
	}
}

// Several batches are under way at once.
func TestEmittersOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.answer = honest
		s := hardSweeper(t, w, Config{Pace: unlimited{}}, func(*fakeWire, [][]byte) (int, error) {
			time.Sleep(10 * time.Millisecond)
			return 0, nil
		})
		began := time.Now()
		p := tcpPlan(100*batchMost, 80)
		got, stats := collect(t, s, p)
		checkOpen(t, p, got)
		if took := time.Since(began); took > 600*time.Millisecond || stats.Tries != 100*batchMost || stats.Degraded {
			t.Errorf("100 batches of 10 ms each took %s: %+v", took, stats)
		}
		s.Close()
	})
}

// A round counts as sent when it has left: a wire that takes its time does not
// eat up the wait for the answers.
func TestAnswersHaveTheirTimeAfterSending(t *testing.T) {
	for _, pace := range []Pacer{NewRate(1000), unlimited{}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.answer, w.delay = honest, 900*time.Millisecond
			s := hardSweeper(t, w, Config{Pace: pace, Tries: 1}, func(*fakeWire, [][]byte) (int, error) {
				time.Sleep(5 * time.Second)
				return 0, nil
			})
			p := tcpPlan(200, 80)
			got, stats := collect(t, s, p)
			checkOpen(t, p, got)
			if len(got) != 200 || stats.Tries != 200 {
				t.Errorf("burst %d: %d told, stats %+v", pace.Burst(), len(got), stats)
			}
			s.Close()
		})
	}
}

// What a busy interface did not take is sent later, and once.
func TestBusyInterface(t *testing.T) {
	for _, pace := range []Pacer{NewRate(20_000), unlimited{}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.answer = honest
			s := hardSweeper(t, w, Config{Pace: pace, Tries: 1}, func(x *fakeWire, frames [][]byte) (int, error) {
				if len(frames) < 10 {
					return 0, nil
				}
				n, err := x.Send(frames[:len(frames)/2])
				return n, errors.Join(err, link.ErrBusy)
			})
			p := tcpPlan(5000, 80)
			got, stats := collect(t, s, p)
			checkOpen(t, p, got)
			if len(got) != 5000 || stats.Tries != 5000 || stats.Degraded || stats.Repeated != 0 {
				t.Errorf("burst %d: %d told, stats %+v", pace.Burst(), len(got), stats)
			}
			s.Close()
		})
	}
}

// An interface that is lost while several batches are under way costs none of
// their targets.
func TestInterfaceIsLostUnderEmitters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.answer = firewalled
		s := w.sweeper(t, Config{Pace: NewRate(wide)})
		p := tcpPlan(60_000, 80)
		time.AfterFunc(600*time.Millisecond, func() { w.setDown(true) })
		time.AfterFunc(5*time.Second, func() { w.setDown(false) })
		got, stats := collect(t, s, p)
		checkOpen(t, p, got)
		if stats.Degraded || stats.Unreachable != 0 || stats.Repeated == 0 {
			t.Errorf("stats %+v", stats)
		}
		s.Close()
	})
}

// A sweep that is cut short waits for what is under way, and for no more.
func TestCutShortUnderEmitters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		under := 0
		s := hardSweeper(t, w, Config{Pace: unlimited{}}, func(*fakeWire, [][]byte) (int, error) {
			w.mu.Lock()
			under++
			w.mu.Unlock()
			time.Sleep(time.Second)
			w.mu.Lock()
			under--
			w.mu.Unlock()
			return 0, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := s.Sweep(ctx, tcpPlan(100_000, 80), func(capture.Reply) {})
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 3500*time.Millisecond {
			t.Errorf("after %s: %v", took, err)
		}
		if under != 0 {
			t.Errorf("%d batches are under way after the sweep", under)
		}
		s.Close()
	})
}

// A sweep whose targets have all answered is over; one that is still silent is
// given its time.
func TestEndsWithTheLastAnswer(t *testing.T) {
	for _, perSecond := range []int{10_000, 100_000} {
		for _, silent := range []int{0, 1} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.answer = func(p *frame.Packet, n int) []fakeAnswer {
					if silent > 0 && p.Dst == targets(1).At(0) && p.DstPort == 81 {
						return nil
					}
					return honest(p, n)
				}
				s := w.sweeper(t, Config{Pace: NewRate(perSecond)})
				began := time.Now()
				p := tcpPlan(1000, 80, 81)
				got, stats := collect(t, s, p)
				least, most := 0*time.Second, 250*time.Millisecond
				if silent > 0 {
					least, most = 2*time.Second, 2250*time.Millisecond
				}
				if took := time.Since(began); took < least || took > most || len(got) != 2000-silent ||
					int(stats.Silent) != silent {
					t.Errorf("%d/s, %d silent: took %s, %d told, stats %+v", perSecond, silent, took, len(got), stats)
				}
				s.Close()
			})
		}
	}
}
