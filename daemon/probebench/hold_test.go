//go:build integration || lab || bench

package probebench

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"sonde/match"
	"sonde/probes"
	"sonde/probes/session"
)

// A holdSpec says whom the role hold visits: Count peers of a crowd, Parallel
// at once, by the implementation under test, or by plain Go.
type holdSpec struct {
	Port            uint16
	Count, Parallel int
	Plain           bool
}

type holdResult struct {
	Outcomes                map[string]int // by outcome and product
	PeakKiB, IdleKiB        int            // of the whole process; before the first visit
	FilesBefore, FilesAfter int
	CPU, Took               time.Duration
}

// holdRole visits many peers and weighs itself. The database is loaded before,
// as a daemon's is.
func holdRole(ctx context.Context, spec []byte, ready func(any)) (any, error) {
	var s holdSpec
	if err := json.Unmarshal(spec, &s); err != nil {
		return nil, err
	}
	if err := manyFiles(manyPeers); err != nil {
		return nil, err
	}
	db, err := loadDatabase("")
	if err != nil {
		return nil, err
	}
	debug.FreeOSMemory() // what loading left behind
	if err := forgetPeak(); err != nil {
		return nil, err
	}
	var r holdResult
	r.IdleKiB, _ = memory()
	r.FilesBefore = descriptors()
	ready(struct{}{})
	plain := plainVisit(db)
	stop := func() {}
	begin := func(at netip.AddrPort, done func(string)) {
		go func() { done(plain(ctx, at)) }()
	}
	if !s.Plain {
		var v visitor
		if v, stop, err = newVisitor(db); err != nil {
			return nil, err
		}
		begin = func(at netip.AddrPort, done func(string)) {
			v.Begin(probes.Endpoint{Addr: at.Addr(), Port: at.Port(), Transport: probes.TCP}, session.Remembered{},
				func(o probes.Observation) { done(string(o.Outcome) + " " + o.Product) })
		}
	}
	began, cpu := time.Now(), processor()
	r.Outcomes = s.visitAll(begin)
	r.CPU, r.Took = processor()-cpu, time.Since(began)
	stop()
	_, r.PeakKiB = memory()
	r.FilesAfter = descriptors()
	return r, nil
}

// visitAll visits each peer once and counts how that ended.
func (s *holdSpec) visitAll(begin func(at netip.AddrPort, done func(outcome string))) map[string]int {
	var mu sync.Mutex
	outcomes := map[string]int{}
	slots := make(chan struct{}, s.Parallel)
	var all sync.WaitGroup
	for i := range s.Count {
		slots <- struct{}{}
		all.Add(1)
		begin(netip.AddrPortFrom(peerAt(i), s.Port), func(outcome string) {
			mu.Lock()
			outcomes[outcome]++
			mu.Unlock()
			<-slots
			all.Done()
		})
	}
	all.Wait()
	return outcomes
}

// plainVisit does the least that identifies who greets: a goroutine, package
// net, one read, and the same search of the same database.
func plainVisit(db *probes.Database) func(context.Context, netip.AddrPort) string {
	search := db.Null().Search()
	scratch := sync.Pool{New: func() any { return match.NewScratch() }}
	buffers := sync.Pool{New: func() any { return new([512]byte) }}
	return func(ctx context.Context, at netip.AddrPort) string {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", at.String())
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		buf := buffers.Get().(*[512]byte)
		defer buffers.Put(buf)
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := c.Read(buf[:])
		if err != nil {
			return err.Error()
		}
		sc := scratch.Get().(*match.Scratch)
		defer scratch.Put(sc)
		return string(probes.OutcomeAnswered) + " " + search.Match(sc, buf[:n]).Identity.Product
	}
}
