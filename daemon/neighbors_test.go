package main

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sonde/capture"
)

// A street is a link on which nobody is home: the kernel asks for three seconds.
type street struct {
	mu     sync.Mutex
	asking map[netip.Addr]time.Time
	most   int
}

func (s *street) NextHop(a netip.Addr) (capture.Neighbor, bool) {
	return capture.Neighbor{Link: 1, Addr: a}, true
}

func (s *street) Resolution(n capture.Neighbor) (capture.Resolution, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch began, ok := s.asking[n.Addr]; {
	case !ok:
		return capture.Unknown, nil
	case time.Since(began) < 3*time.Second:
		return capture.Resolving, nil
	}
	return capture.Unresolvable, nil
}

func (s *street) Await(ctx context.Context, n capture.Neighbor) (capture.Resolution, error) {
	for {
		if r, err := s.Resolution(n); r != capture.Resolving {
			return r, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return capture.Resolving, ctx.Err()
		}
	}
}

func (s *street) Table(bool) (capture.NeighborTable, error) {
	return capture.NeighborTable{Collect: 20, Max: 1024}, nil
}

// visit is what a conversation does to the table.
func (s *street) visit(a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking[a] = time.Now()
	now := 0
	for _, began := range s.asking {
		if time.Since(began) < 3*time.Second {
			now++
		}
	}
	s.most = max(s.most, now)
}

// generous admits everybody, every other one a moment later.
type generous struct {
	mu   sync.Mutex // guards what follows
	n    int
	held int
}

func (g *generous) Admit(_ netip.Addr, ready func()) (func(), bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n++
	g.held++
	release := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.held--
	}
	if g.n%2 == 0 {
		time.AfterFunc(time.Millisecond, ready)
		return release, false
	}
	return release, true
}

func (*generous) Pace(netip.AddrPort, func()) (func(), bool) { return func() {}, true }
func (*generous) Connect(netip.Addr, func()) (func(), bool)  { return func() {}, true }

// TestVisitsLeaveRoomForNeighbors: known hosts that have gone all at once.
func TestVisitsLeaveRoomForNeighbors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := &street{asking: map[netip.Addr]time.Time{}}, &generous{}
		var running sync.WaitGroup
		b := neighborBudget{g, capture.NewGuard(s), &running}
		visited := 0
		var all sync.WaitGroup
		for i := range 100 {
			a := netip.AddrFrom4([4]byte{198, 18, 0, byte(i)})
			ready := make(chan struct{}, 1)
			release, granted := b.Admit(a, func() { ready <- struct{}{} })
			if i%10 == 9 { // ended before its turn
				release()
				continue
			}
			all.Go(func() {
				if !granted {
					<-ready
				}
				s.visit(a)
				time.Sleep(2 * time.Second)
				s.mu.Lock()
				defer s.mu.Unlock()
				visited++
				release()
			})
		}
		all.Wait()
		running.Wait()
		if visited != 90 || g.held != 0 {
			t.Errorf("%d visited, %d places held", visited, g.held)
		}
		if s.most > 10 || s.most < 5 { // half of what the kernel begins to collect at
			t.Errorf("%d neighbours were looked for at once", s.most)
		}
	})
}
