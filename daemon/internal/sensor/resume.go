package sensor

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"slices"
	"time"

	"sonde/capture"
	"sonde/daemon/internal/inventory"
)

// resumeWithin is how long after it was remembered a pass is gone on with: a
// restart takes no longer, and after more the network is another one.
const resumeWithin = time.Hour

// A part of a pass is what lies between two marks.
type part struct {
	pass *pass
	next uint64 // the mark at its end; 0 while it is under way
	owed int    // visits of what it found that are not stored yet
}

// last is the part under way.
func (p *pass) last() *part { return p.parts[len(p.parts)-1] }

// marked takes the mark of a pass under way.
func (s *Sensor) marked(ctx context.Context, p *pass, next uint64) {
	p.last().next = next
	p.parts = append(p.parts, &part{pass: p})
	s.remember(ctx, p)
}

// paid notes that a visit which the part has waited for is stored, or not
// waited for any more.
func (s *Sensor) paid(ctx context.Context, of *part) {
	of.owed--
	of.pass.owed--
	s.complete(ctx, of.pass)
	if !of.pass.ended {
		s.remember(ctx, of.pass)
	}
}

// remember stores how far a pass is: to the end of the last part before which
// nothing is owed.
func (s *Sensor) remember(ctx context.Context, p *pass) {
	next := uint64(0)
	for p.parts[0].owed == 0 && p.parts[0].next > 0 {
		next = p.parts[0].next
		p.parts = p.parts[1:]
	}
	if next == 0 || p.spoiled {
		return
	}
	p.progress.Next = next
	s.saveProgress(ctx, p)
}

func (s *Sensor) saveProgress(ctx context.Context, p *pass) {
	p.progress.Left, p.progress.Saved = slices.Clone(p.resting), s.cfg.Now()
	if err := s.cfg.Inventory.SaveUnfinished(ctx, p.progress); err != nil {
		s.cfg.Log.Error("progress of sweep not stored", "watch", p.watch.Name, "err", err)
	}
}

// keepPlaces has the place of sweeps that wait while their watch is shut outlive
// a restart: that time does not count against them. What an earlier run had begun
// and this one could not go on with yet was taken from the store.
func (s *Sensor) keepPlaces(ctx context.Context) {
	const refresh = resumeWithin / 4
	now := s.cfg.Now()
	for p := range s.passes {
		if s.admitted[p.watch.Name].shut != "" && !p.spoiled && p.progress.Next > 0 && now.Sub(p.progress.Saved) > refresh {
			s.saveProgress(ctx, p)
		}
	}
	for i := range s.begun {
		u := &s.begun[i]
		a := s.admitted[u.Pass.Watch]
		if a == nil || a.shut == "" || u.kept && now.Sub(u.Saved) <= refresh || now.Sub(u.Saved) > resumeWithin {
			continue
		}
		u.Saved, u.kept = now, true
		if err := s.cfg.Inventory.SaveUnfinished(ctx, u.Unfinished); err != nil {
			s.cfg.Log.Error("progress of sweep not stored", "watch", u.Pass.Watch, "err", err)
		}
	}
}

// A left pass is one of an earlier run that nothing went on with so far.
type left struct {
	inventory.Unfinished
	kept bool // it is in the store again
}

// resume lets a pass go on where one of the same plan ended, if that is not
// long ago, and says whether there is one.
func (s *Sensor) resume(p *pass, plan *capture.Plan) bool {
	at := slices.IndexFunc(s.begun, func(u left) bool { return p.sweep.sameScope(&u.Pass) })
	if at < 0 {
		return false
	}
	u := s.begun[at]
	s.begun = slices.Delete(s.begun, at, at+1)
	now := s.cfg.Now()
	again := *plan
	again.Seed = u.Seed
	sum, ok := checkSum(&again)
	if !ok || sum != u.Order || u.Saved.After(now) || now.Sub(u.Saved) > resumeWithin ||
		now.Sub(u.Pass.Started) >= p.sweep.Every {
		return false
	}
	plan.Seed, plan.From = u.Seed, u.Next
	p.started, p.began, p.progress = u.Pass.Started, s.clock.Ago(u.Pass.Started), u.Unfinished
	for _, h := range u.Left {
		if !slices.Contains(p.resting, h) {
			p.resting = append(p.resting, h)
		}
	}
	s.cfg.Log.Info("sweep goes on where it stopped", "watch", p.watch.Name, "transport", p.sweep.Transport,
		"begun", u.Pass.Started, "from", u.Next)
	return true
}

// sumTargets of the plan make up its check sum, evenly spread.
const sumTargets = 64

// checkSum tells orders apart. It is false for a plan without one.
func checkSum(p *capture.Plan) (uint64, bool) {
	n, err := p.Len()
	if err != nil || n == 0 {
		return 0, false
	}
	order, err := p.Order()
	if err != nil {
		return 0, false
	}
	h := fnv.New64a()
	var b [10]byte
	for i := range uint64(sumTargets) {
		a, port, _ := order.At(n / sumTargets * i)
		text, _ := netip.AddrPortFrom(a, port).MarshalBinary() // never fails
		_, _ = h.Write(text)
	}
	binary.BigEndian.PutUint64(b[:], n)
	_, _ = h.Write(b[:])
	return h.Sum64(), true
}
