package sensor

import (
	"context"
	"net/netip"
	"time"

	"sonde/daemon/internal/schedule"
)

// A Searcher looks for the hosts of a watch: those of networks that no sweep can
// walk, and those that answer more than ports. It calls found, from one goroutine
// at a time, for each that it has a reason to believe in, and returns when it is
// through or ctx ended. Before it sends anything it asks skip, with the address
// that is sent to, which waits while nothing may be sent for the watch, and is
// true for what must be left alone.
type Searcher interface {
	Search(ctx context.Context, skip func(netip.Addr) bool, found func(netip.Addr)) error
}

// A searchEnd says that a search is through.
type searchEnd struct {
	watch *Watch
	began time.Time
	err   error
}

func searchID(w *Watch) schedule.ID { return schedule.ID{Sweep: w.Name + "/hosts"} }

// putSearch makes the next search of a watch due.
func (s *Sensor) putSearch(w *Watch, due time.Time) {
	if w.Searcher != nil {
		s.queue.Put(schedule.Entry{ID: searchID(w), Watch: w.Name, Kind: schedule.Sweep, Due: due}, s.now())
	}
}

// startSearch begins a search. What it finds is a sighting like any other.
func (s *Sensor) startSearch(ctx context.Context, w *Watch) {
	end := searchEnd{watch: w, began: s.now()}
	skip := s.admitted[w.Name].gate.skip(ctx, among(s.quarantined(w.Zone)))
	s.running.Go(func() {
		end.err = w.Searcher.Search(ctx, skip, func(a netip.Addr) {
			select {
			case s.passing <- passing{watch: w.Name, addr: a}:
			case <-ctx.Done():
			}
		})
		select {
		case s.searched <- end:
		case <-ctx.Done():
		}
	})
}

// endSearch makes the next one due.
func (s *Sensor) endSearch(e searchEnd) {
	due := e.began.Add(e.watch.SearchEvery)
	if e.err != nil {
		s.cfg.Log.Warn("search for hosts failed", "watch", e.watch.Name, "err", e.err)
		due = s.now().Add(min(retryAfter, e.watch.SearchEvery))
	}
	s.queue.Done(searchID(e.watch), s.now())
	s.putSearch(e.watch, due)
}
