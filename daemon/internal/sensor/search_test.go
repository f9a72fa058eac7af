package sensor

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// seeker finds one host at each search, which takes a minute.
type seeker struct {
	mu     sync.Mutex
	begins []time.Time
	sent   []time.Time
	err    error
}

func (s *seeker) Search(ctx context.Context, skip func(netip.Addr) bool, found func(netip.Addr)) error {
	s.mu.Lock()
	s.begins = append(s.begins, time.Now())
	n := len(s.begins)
	s.mu.Unlock()
	select {
	case <-time.After(time.Minute):
	case <-ctx.Done():
		return ctx.Err()
	}
	if skip(at(n)) {
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, time.Now())
	found(at(n))
	return s.err
}

func (s *seeker) after(began time.Time) (begins, sent []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.begins {
		begins = append(begins, at.Sub(began))
	}
	for _, at := range s.sent {
		sent = append(sent, at.Sub(began))
	}
	return begins, sent
}

// Hosts are looked for at the start and then as often as is wanted; those that
// are found are asked.
func TestSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, cfg := hostsWorld(t, 22)
		cfg.Watches[0].Sweeps[0].Every = 24 * time.Hour
		s, began := &seeker{}, time.Now()
		cfg.Watches[0].Searcher, cfg.Watches[0].SearchEvery = s, 10*time.Minute
		runFor(t, cfg, 25*time.Minute, nil)
		if got, _ := s.after(began); !slices.Equal(got, []time.Duration{0, 10 * time.Minute, 20 * time.Minute}) {
			t.Errorf("searches after %v", got)
		}
		if !slices.Equal(w.swept, []int{100, 100, 100, 100, 100, 100}) {
			t.Errorf("rounds over %d targets", w.swept)
		}
	})
}

// A search that failed is made again soon; one waits while nothing may be sent.
func TestSearchAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, cfg := hostsWorld(t)
		s, began := &seeker{err: errors.New("interface is down")}, time.Now()
		cfg.Watches[0].Searcher, cfg.Watches[0].SearchEvery = s, 10*time.Minute
		shut := func() bool { d := time.Since(began); return d > 30*time.Second && d < 5*time.Minute }
		cfg.Watches[0].Hours = hoursFunc(func(time.Time) bool { return !shut() })
		runFor(t, cfg, 6*time.Minute, nil)
		begins, sent := s.after(began)
		if len(begins) != 2 || len(sent) < 1 || sent[0] < 5*time.Minute || begins[1]-sent[0] != retryAfter {
			t.Errorf("searches after %v, sent after %v", begins, sent)
		}
	})
}
