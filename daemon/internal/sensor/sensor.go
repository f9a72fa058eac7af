// Package sensor is the loop that makes discovery, probing and the inventory
// one: it asks the schedule what is due, sends sweeps and visits on their way,
// and hands what they saw to the inventory, which decides what is news.
//
// One goroutine owns all state; visits and sweeps run in goroutines of their
// own and speak to it over channels. Nothing that was seen is dropped on the
// way: a visit whose result could not be stored is made again.
package sensor

import (
	"context"
	"hash/maphash"
	"iter"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"sonde/capture"
	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/schedule"
	"sonde/probes"
	"sonde/probes/session"
)

// The rhythm of the loop.
const (
	// batchMost and batchWait bound how many results wait for how long to be
	// stored in one transaction, which costs a disk sync.
	batchMost = 256
	batchWait = 50 * time.Millisecond
	// retryAfter is when a visit is made again whose result was not stored.
	retryAfter = 30 * time.Second
	// aliveEvery is how often the store is told that we live, so that the
	// gap after a crash is known to about this long.
	aliveEvery = 10 * time.Second
)

// Inventory is what the sensor needs of the store.
type Inventory interface {
	Endpoints(ctx context.Context, f inventory.Filter) iter.Seq2[inventory.Endpoint, error]
	Passes(ctx context.Context) ([]inventory.Pass, error)
	Apply(ctx context.Context, visits []inventory.Visit) ([]inventory.Standing, error)
	PassStarted(ctx context.Context, p inventory.Pass) error
	PassDone(ctx context.Context, p inventory.Pass) error
	Record(ctx context.Context, e event.Event) error
	Alive(ctx context.Context) error
}

// A Visitor asks one endpoint what runs there.
type Visitor interface {
	Visit(ctx context.Context, ep probes.Endpoint, known session.Remembered) probes.Observation
}

// A Sweeper finds out which targets answer. It calls yield from one goroutine
// at a time, and returns when each target had its reply or ctx ended.
type Sweeper interface {
	Sweep(ctx context.Context, targets iter.Seq[capture.Target], yield func(capture.Reply)) (capture.Stats, error)
}

// A Watch is one configured set of addresses and ports.
type Watch struct {
	Name        string
	Zone        string
	VerifyEvery time.Duration
	Sweeps      []Sweep
	Sweeper     Sweeper
	Visitor     Visitor
	Names       func(netip.Addr) []string
	// Contains says whether the endpoint is still in the watch's scope.
	Contains func(a netip.Addr, t probes.Transport, port uint16) bool
}

// A Sweep is the discovery of one transport in a watch.
type Sweep struct {
	Transport probes.Transport
	Every     time.Duration
	Targets   func() iter.Seq[capture.Target]
	Pass      inventory.Pass // what it covers; the times are filled in
}

// Config is what a Sensor is made of.
type Config struct {
	Watches   []Watch
	Inventory Inventory

	Visits         int           // conversations at once, over all watches
	HeartbeatEvery time.Duration // 0: none
	Now            func() time.Time
	Beat           func() // called by the loop, for a watchdog; may be nil
	Log            *slog.Logger
}

// A Sensor is the loop. It is used once.
type Sensor struct {
	cfg     Config
	seed    maphash.Seed
	queue   *schedule.Queue
	watches map[string]*Watch
	known   map[event.Key]known
	passes  map[string]*pass      // running sweeps by name
	owed    map[event.Key][]*pass // sweeps that wait for a visit
	visits  int                   // under way
	results chan inventory.Visit  // from visits; never closed
	seen    chan sighting         // from sweeps; never closed
	swept   chan sweepEnd         // from sweeps; never closed
	batch   []inventory.Visit     // waits to be stored
	running sync.WaitGroup        // visits and sweeps
}

// known is what the loop needs of an endpoint that is there, kept in memory.
type known struct {
	watch      string
	remembered session.Remembered
	fresh      time.Time // when its identity was last seen
}

// New returns a sensor over the configuration.
func New(cfg Config) *Sensor {
	s := &Sensor{
		cfg: cfg, seed: maphash.MakeSeed(), queue: schedule.NewQueue(),
		watches: map[string]*Watch{}, known: map[event.Key]known{},
		passes: map[string]*pass{}, owed: map[event.Key][]*pass{},
		results: make(chan inventory.Visit, cfg.Visits),
		seen:    make(chan sighting), swept: make(chan sweepEnd),
	}
	for i := range cfg.Watches {
		s.watches[cfg.Watches[i].Name] = &cfg.Watches[i]
	}
	return s
}

// Name implements task.Task.
func (s *Sensor) Name() string { return "sensor" }

// Run works until ctx ends. What was not stored by then is given up: the
// difference to the inventory is found again at the next start.
func (s *Sensor) Run(ctx context.Context, ready func()) error {
	if err := s.load(ctx); err != nil {
		return err
	}
	work, cancel := context.WithCancel(ctx)
	defer s.running.Wait()
	defer cancel()
	ready()

	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	beat := newTicker(s.cfg.HeartbeatEvery)
	defer beat.stop()
	due := time.NewTimer(0)
	defer due.Stop()
	var flush <-chan time.Time // set while a batch waits
	for {
		select {
		case <-ctx.Done():
			s.running.Wait()
			s.collect()
			last, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			s.store(last)
			stop()
			return nil
		case v := <-s.results:
			s.take(v)
			if len(s.batch) >= batchMost {
				s.store(ctx)
				flush = nil
			} else if flush == nil {
				flush = time.After(batchWait)
			}
		case <-flush:
			s.store(ctx)
			flush = nil
		case r := <-s.seen:
			s.sight(r)
		case e := <-s.swept:
			s.endSweep(ctx, e)
		case <-alive.C:
			if err := s.cfg.Inventory.Alive(ctx); err != nil && ctx.Err() == nil {
				s.cfg.Log.Error("sign of life not stored", "err", err)
			}
		case <-beat.c:
			s.heartbeat(ctx)
		case <-due.C:
		}
		s.dispatch(work)
		s.arm(due)
		if s.cfg.Beat != nil {
			s.cfg.Beat()
		}
	}
}

// load fills schedule and memory from the inventory.
func (s *Sensor) load(ctx context.Context) error {
	for e, err := range s.cfg.Inventory.Endpoints(ctx, inventory.Filter{Brief: true}) {
		if err != nil {
			return err
		}
		w := s.watches[e.Watch]
		if w == nil || e.Status == inventory.Gone ||
			!w.Contains(e.Key.Addr, e.Key.Transport, e.Key.Port) {
			continue
		}
		k := known{watch: e.Watch, fresh: e.LastVerified, remembered: session.Recall(&e.Current)}
		s.known[e.Key] = k
		s.plan(e.Key, k, e.Next, e.LastVisited)
	}
	passes, err := s.cfg.Inventory.Passes(ctx)
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	for _, w := range s.watches {
		for i := range w.Sweeps {
			sw := &w.Sweeps[i]
			s.queue.Put(schedule.Entry{ID: sweepID(w, sw), Watch: w.Name,
				Kind: schedule.Sweep, Due: sw.due(passes, now)})
		}
	}
	return nil
}

// plan schedules the next visit of an endpoint that is there.
func (s *Sensor) plan(key event.Key, k known, next inventory.Next, last time.Time) {
	e := schedule.Entry{ID: schedule.ID{Key: key}, Watch: k.watch, Kind: schedule.Confirm, Due: next.At}
	if next.At.IsZero() {
		e.Kind = schedule.Verify
		e.Due = schedule.Routine(s.seed, key, last, s.watches[k.watch].VerifyEvery)
	}
	s.queue.Put(e)
}

// learn keeps what a stored visit says of its endpoint, and schedules the next
// one. What is gone, or was never there, is left to discovery.
func (s *Sensor) learn(v *inventory.Visit, after inventory.Standing) {
	if after.Status == inventory.Gone || after.Status == inventory.Unknown {
		delete(s.known, v.Key)
		if !after.Next.At.IsZero() {
			s.queue.Put(schedule.Entry{ID: schedule.ID{Key: v.Key}, Watch: v.Watch,
				Kind: schedule.Confirm, Due: after.Next.At})
		}
		return
	}
	k := s.known[v.Key]
	k.watch = v.Watch
	if o := &v.Observation; o.Strength == probes.Hard || o.Strength == probes.Soft {
		k.remembered, k.fresh = session.Recall(o), v.At
	}
	s.known[v.Key] = k
	s.plan(v.Key, k, after.Next, v.At)
}

// dispatch starts what is due, as far as there is room.
func (s *Sensor) dispatch(ctx context.Context) {
	for s.visits < s.cfg.Visits && ctx.Err() == nil {
		e, ok := s.queue.Next(s.cfg.Now())
		if !ok {
			return
		}
		w := s.watches[e.Watch]
		if e.Kind == schedule.Sweep {
			s.startSweep(ctx, w, e)
			continue
		}
		s.startVisit(ctx, w, e)
	}
}

// arm sets the timer to the next due entry.
func (s *Sensor) arm(t *time.Timer) {
	due, ok := s.queue.NextDue()
	if !ok || s.visits >= s.cfg.Visits {
		t.Reset(time.Hour) // a result, a sighting or a sweep's end comes first
		return
	}
	t.Reset(max(0, due.Sub(s.cfg.Now())))
}

// startVisit asks one endpoint. A result that ctx cut short is not a result.
func (s *Sensor) startVisit(ctx context.Context, w *Watch, e schedule.Entry) {
	k := e.ID.Key
	ep := probes.Endpoint{Addr: k.Addr, Port: k.Port, Transport: k.Transport}
	if w.Names != nil {
		ep.Names = w.Names(k.Addr)
	}
	remembered := s.known[k].remembered
	found := e.Kind == schedule.Sighted
	method := methodOf(w, k.Transport)
	s.visits++
	s.running.Go(func() {
		obs := w.Visitor.Visit(ctx, ep, remembered)
		if ctx.Err() != nil {
			return
		}
		s.results <- inventory.Visit{Key: k, Watch: w.Name, Method: method,
			Observation: obs, At: obs.At, Found: found}
	})
}

func methodOf(w *Watch, t probes.Transport) string {
	for i := range w.Sweeps {
		if w.Sweeps[i].Transport == t {
			return w.Sweeps[i].Pass.Method
		}
	}
	return ""
}

// take notes that a visit has ended.
func (s *Sensor) take(v inventory.Visit) {
	s.visits--
	s.batch = append(s.batch, v)
}

// collect takes the results that were ready when the loop ended.
func (s *Sensor) collect() {
	for {
		select {
		case v := <-s.results:
			s.take(v)
		default:
			return
		}
	}
}

// store applies the batch, and schedules what follows from it.
func (s *Sensor) store(ctx context.Context) {
	batch := s.batch
	s.batch = nil
	if len(batch) == 0 {
		return
	}
	after, err := s.cfg.Inventory.Apply(ctx, batch)
	if err != nil {
		s.cfg.Log.Error("visits not stored, they are made again", "visits", len(batch), "err", err)
	}
	for i := range batch {
		key := batch[i].Key
		id := schedule.ID{Key: key}
		s.queue.Done(id)
		if err != nil {
			s.queue.Put(schedule.Entry{ID: id, Watch: batch[i].Watch, Kind: kindAgain(batch[i]),
				Due: s.cfg.Now().Add(retryAfter)})
			continue
		}
		s.learn(&batch[i], after[i])
		s.settleDebts(ctx, key)
	}
}

func kindAgain(v inventory.Visit) schedule.Kind {
	if v.Found {
		return schedule.Sighted
	}
	return schedule.Verify
}

// heartbeat tells how the promises stand.
func (s *Sensor) heartbeat(ctx context.Context) {
	now := s.cfg.Now()
	counts := map[string]int{}
	for name := range s.watches {
		counts[name+".known"], counts[name+".fresh"] = 0, 0
	}
	for _, k := range s.known {
		counts[k.watch+".known"]++
		if now.Sub(k.fresh) <= s.watches[k.watch].VerifyEvery {
			counts[k.watch+".fresh"]++
		}
	}
	for name, n := range s.queue.Overdue(now) {
		counts[name+".overdue"] = n
	}
	e := event.Event{Action: event.SensorHeartbeat, Counts: counts,
		Message: "the sensor is alive"}
	if err := s.cfg.Inventory.Record(ctx, e); err != nil && ctx.Err() == nil {
		s.cfg.Log.Error("heartbeat not stored", "err", err)
	}
}

// ticker is a time.Ticker that may be none.
type ticker struct {
	c <-chan time.Time
	t *time.Ticker
}

func newTicker(every time.Duration) ticker {
	if every <= 0 {
		return ticker{}
	}
	t := time.NewTicker(every)
	return ticker{t.C, t}
}

func (t ticker) stop() {
	if t.t != nil {
		t.t.Stop()
	}
}
