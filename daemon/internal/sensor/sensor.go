// Package sensor is the loop that makes discovery, probing and the inventory
// one: it asks the schedule what is due, sends sweeps and visits on their way,
// and hands what they saw to the inventory, which decides what is news.
//
// One goroutine owns all state. Sweeps, and looks at hosts that may suffer, run
// in goroutines of their own; a visit has none, it calls back when it is over.
// Nothing that was seen is dropped on the way: a visit whose result could not
// be stored is made again, and a sweep counts as complete only when everything
// that it found was visited and stored.
//
// # Cost
//
// Memory is held for each endpoint that is there (about 300 bytes), for at most
// owedMost that were found and wait for their first visit, and for each visit
// under way about 300 bytes beside what its conversation takes.
package sensor

import (
	"context"
	"iter"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sonde/capture"
	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/schedule"
	"sonde/probes"
	"sonde/probes/engine"
	"sonde/probes/session"
)

// The rhythm of the loop.
const (
	// batchMost and batchWait bound how many results wait for how long to be
	// stored in one transaction, which costs a disk sync.
	batchMost = 256
	batchWait = 50 * time.Millisecond
	// retryAfter is when a visit is made again whose result was not stored, or
	// a sweep that failed for the first time.
	retryAfter = 30 * time.Second
	// aliveEvery is how often the store is told that we live, so that the
	// gap after a crash is known to about this long.
	aliveEvery = 10 * time.Second
	// beatEvery is how often the loop shows that it turns when nothing else
	// makes it turn: well within any watchdog that is in use.
	beatEvery = time.Second
	// owedMost is how many endpoints may wait for the visit that a sweep owes
	// them. Beyond, discovery waits: 65,536 is one host with every port open,
	// and some 30 MiB.
	owedMost = 1 << 16
)

// Inventory is what the sensor needs of the store.
type Inventory interface {
	Endpoints(ctx context.Context, f inventory.Filter) iter.Seq2[inventory.Endpoint, error]
	Passes(ctx context.Context) ([]inventory.Pass, error)
	Apply(ctx context.Context, visits []inventory.Visit) ([]inventory.Standing, error)
	PassStarted(ctx context.Context, p inventory.Pass) error
	PassDone(ctx context.Context, p inventory.Pass) error
	SaveUnfinished(ctx context.Context, u inventory.Unfinished) error
	TakeUnfinished(ctx context.Context) ([]inventory.Unfinished, error)
	Record(ctx context.Context, e event.Event) error
	Alive(ctx context.Context) error
	Distress(ctx context.Context, since time.Time) ([]inventory.Distress, error)
	Overdue(ctx context.Context) ([]inventory.Overdue, error)
}

// A Visitor asks one endpoint what runs there. It calls done once, from any
// goroutine, perhaps before Begin returns; done does not block. Cancel ends the
// visit soon, and may be called after done.
type Visitor interface {
	Begin(ep probes.Endpoint, known session.Remembered, done func(probes.Observation)) (cancel func(reason error))
}

// A Sweeper finds out which targets answer. It calls yield from one goroutine
// at a time, and returns when each target had its reply or ctx ended.
type Sweeper interface {
	Sweep(ctx context.Context, p capture.Plan, yield func(capture.Reply)) (capture.Stats, error)
}

// A Looker tries a few targets, as a Sweeper does its many.
type Looker interface {
	Look(ctx context.Context, targets iter.Seq[capture.Target], yield func(capture.Reply)) (capture.Stats, error)
}

// A Watch is one configured set of addresses and ports.
type Watch struct {
	Name        string
	Zone        string
	VerifyEvery time.Duration
	Sweeps      []Sweep
	Sweeper     Sweeper
	Looker      Looker
	Visitor     Visitor
	Careful     Visitor // for hosts that are known to be fragile; nil: as all others
	Hours       Hours   // when anything may be sent; nil: always
	// ReclimbEvery is how often a known service is asked as if it were not; 0: never.
	ReclimbEvery time.Duration
	Names        func(netip.Addr) []string
	// Searcher looks for hosts every SearchEvery; nil: nobody does.
	Searcher    Searcher
	SearchEvery time.Duration
	// HostsMost is how many hosts it may have beside the addresses of its sweeps.
	HostsMost int
	// Heard is told the address of each service that is known, when it is read or
	// was visited; may be nil.
	Heard func(netip.Addr)
	// Target says how an address was reached; may be nil.
	Target func(netip.Addr) Reach
	// Contains says whether the endpoint is still in the watch's scope.
	Contains func(a netip.Addr, t probes.Transport, port uint16) bool
}

// A Sweep is the discovery of one transport in a watch.
type Sweep struct {
	Transport probes.Transport
	Every     time.Duration
	Plan      capture.Plan   // all but its Seed, From, Skip and Checkpoint
	Pass      inventory.Pass // what it covers; the times are filled in
}

// Config is what a Sensor is made of.
type Config struct {
	Watches   []Watch
	Inventory Inventory

	Visits         int           // conversations at once, over all watches
	HostVisits     int           // of these with one address, loopback apart; 0: any number
	HeartbeatEvery time.Duration // 0: none
	Quarantine     time.Duration // how long a host in distress is left alone
	ProbesSince    time.Time     // when the probes that are sent were others last; zero: never
	Alike          int           // more ports than this of one host that say nothing are looked for together
	// Careful is told which hosts are to be granted less, and which no more;
	// may be nil.
	Careful func(a netip.Addr, on bool)
	// Fingerprint writes down what no signature explains of an observation, ""
	// for what one does; may be nil.
	Fingerprint func(*probes.Observation) string
	// Sockets tells how the sockets of the visits stand, for the heartbeat;
	// may be nil.
	Sockets func() engine.Stats
	// Discovery tells what discovery sent and received, by name, for the
	// heartbeat: discoveryMost names at most. May be nil.
	Discovery func() map[string]int
	// Outputs tells how far the outputs are behind, by name, for the heartbeat:
	// outputsMost names at most. May be nil.
	Outputs func(context.Context) map[string]int
	// Held says that no visit and no sweep shall begin; may be nil.
	Held func() bool
	// Now is the wall clock. Elapsed is the time since some moment, which counts
	// on while the machine sleeps; nil: as Now's own reading does, which may not.
	Now     func() time.Time
	Elapsed func() time.Duration
	Orders  Orders // of operators; nil: none
	Seed    uint64 // of the rhythm of visits: the same after each start
	Beat    func() // called by the loop at least every second, for a watchdog; may be nil
	Log     *slog.Logger
}

// A Sensor is the loop. It is used once.
type Sensor struct {
	cfg     Config
	clock   *schedule.Clock
	rhythm  schedule.Rhythm
	turned  time.Time // when the loop came round last, with Go's own reading
	watches map[string]*Watch
	known   *book
	keeping map[string]*keeping // of the promises of each watch
	// admitted says which watches may send; loaded, that it is known of all.
	admitted map[string]*admission
	loaded   bool
	waiting  map[event.Key][]chan<- probes.Observation // people, for a visit that is not begun

	queue    *schedule.Queue
	air      map[*flight]struct{} // visits that were begun and are not in a batch
	flying   int                  // those of them that have not called back
	owed     map[event.Key]*debt  // visits that sweeps wait for, not begun
	passes   map[*pass]struct{}   // sweeps that were begun and are not complete
	failed   map[schedule.ID]int  // sweeps that failed in a row
	last     map[schedule.ID]time.Time
	begun    []left                // passes of an earlier run, to be gone on with
	around   map[hostID]*around    // hosts with finds that say nothing
	suspects map[hostID]*suspicion // hosts that may have suffered from us
	resting  map[hostID]quarantine // hosts that did
	fragile  map[hostID]witnesses  // hosts that are asked with care
	outcomes map[probes.Outcome]int
	looking  looking
	heard    map[hostID]heardHost  // hosts that were seen
	fresh    map[string]*freshness // by watch
	rounds   int                   // under way

	results  chan *flight     // from visits, with room for all; never closed
	seen     chan sighting    // from sweeps; never closed
	swept    chan sweepEnd    // from sweeps; never closed
	rounded  chan struct{}    // from rounds; never closed
	searched chan searchEnd   // from searches; never closed
	looks    chan *look       // that are over; never closed
	passing  chan passing     // seen by listening; never closed, dropped when full
	notes    chan event.Event // to be recorded; never closed, dropped when full
	asks     chan func()      // to be called by the loop; never closed
	ended    chan struct{}    // closed when the loop is over
	missed   atomic.Int64     // of passing
	batch    []*flight        // waits to be stored
	running  sync.WaitGroup
}

// New returns a sensor over the configuration.
func New(cfg Config) *Sensor {
	s := &Sensor{
		cfg: cfg, clock: schedule.NewClock(cfg.Now, cfg.Elapsed), rhythm: schedule.NewRhythm(cfg.Seed),
		watches: map[string]*Watch{}, known: newBook(cfg.Watches), keeping: map[string]*keeping{},
		admitted: map[string]*admission{}, waiting: map[event.Key][]chan<- probes.Observation{},
		asks: make(chan func()), ended: make(chan struct{}),
		queue: schedule.NewQueue(cfg.perHost), air: map[*flight]struct{}{}, owed: map[event.Key]*debt{},
		passes: map[*pass]struct{}{}, failed: map[schedule.ID]int{},
		last:   map[schedule.ID]time.Time{},
		around: map[hostID]*around{}, suspects: map[hostID]*suspicion{}, resting: map[hostID]quarantine{},
		fragile:  map[hostID]witnesses{},
		outcomes: map[probes.Outcome]int{},
		heard:    map[hostID]heardHost{}, fresh: map[string]*freshness{},
		results: make(chan *flight, cfg.Visits),
		seen:    make(chan sighting), swept: make(chan sweepEnd), rounded: make(chan struct{}), searched: make(chan searchEnd), looks: make(chan *look),
		passing: make(chan passing, passingMost), notes: make(chan event.Event, notesMost),
	}
	for i := range cfg.Watches {
		w := &cfg.Watches[i]
		s.watches[w.Name], s.keeping[w.Name], s.admitted[w.Name] = w, &keeping{}, &admission{}
	}
	return s
}

// perHost is how many visits of an address may be under way at once.
func (c *Config) perHost(a netip.Addr) int {
	if a.IsLoopback() {
		return 0
	}
	return c.HostVisits
}

// now is the time that everything in here is due by: see schedule.Clock.
func (s *Sensor) now() time.Time { return s.clock.Now() }

// Name implements task.Task.
func (s *Sensor) Name() string { return "sensor" }

// Run works until ctx ends. What was not seen to its end by then is given up:
// the difference to the inventory is found again at the next start.
func (s *Sensor) Run(ctx context.Context, ready func()) error {
	defer close(s.ended)
	s.admit(ctx)
	if err := s.load(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err() // the store has words of its own for a query that is cut short
		}
		return err
	}
	s.loaded = true
	work, cancel := context.WithCancel(ctx)
	defer s.running.Wait()
	defer cancel()
	ready()
	// What was seen is stored even when ctx ends in the middle of it.
	s.loop(work, context.WithoutCancel(ctx))
	s.landAll(ctx.Err())
	s.running.Wait()
	s.store(context.WithoutCancel(ctx))
	return nil
}

// loop takes one thing after the other until ctx ends. It writes to the
// inventory with the context durable.
func (s *Sensor) loop(ctx, durable context.Context) {
	alive, beat := time.NewTicker(aliveEvery), time.NewTicker(beatEvery)
	defer alive.Stop()
	defer beat.Stop()
	heart := newTicker(s.cfg.HeartbeatEvery)
	defer heart.stop()
	judge := time.NewTicker(judgeEvery)
	defer judge.Stop()
	due := time.NewTimer(0)
	defer due.Stop()

	s.clock.Turn() // what loading took was no sleep
	s.turned = time.Now()
	var flush <-chan time.Time // set while a batch waits
	for ctx.Err() == nil {
		seen := s.seen
		if len(s.owed) >= owedMost {
			seen = nil // discovery waits until some of these were visited
		}
		select {
		case <-ctx.Done():
			return
		case f := <-s.results:
			s.take(f)
			if len(s.batch) > 0 && flush == nil {
				flush = time.After(batchWait)
			}
		case <-flush:
			s.store(durable)
			flush = nil
		case r := <-seen:
			if r.mark > 0 {
				s.marked(durable, r.pass, r.mark)
			} else {
				s.sight(r)
			}
		case e := <-s.swept:
			s.endSweep(durable, e)
		case e := <-s.searched:
			s.endSearch(e)
		case <-s.rounded:
			s.rounds--
		case l := <-s.looks:
			s.looking.now--
			if l.over(l); len(s.batch) > 0 && flush == nil {
				flush = time.After(batchWait)
			}
		case p := <-s.passing:
			s.pass(p)
		case f := <-s.asks:
			f()
		case e := <-s.notes:
			s.note(durable, e)
		case <-alive.C:
			s.alive(durable)
		case <-heart.c:
			s.heartbeat(durable)
		case <-judge.C:
			s.judge(durable)
			s.keepPlaces(durable)
		case <-beat.C:
		case <-due.C:
		}
		if len(s.batch) >= batchMost {
			s.store(durable)
			flush = nil
		}
		s.turn()
		s.admit(durable)
		s.dispatch(ctx)
		s.arm(due)
		if s.cfg.Beat != nil {
			s.cfg.Beat()
		}
	}
}

// dispatch starts what is due: every sweep, and visits and looks as far as
// there is room.
func (s *Sensor) dispatch(ctx context.Context) {
	if s.held() {
		return
	}
	for ctx.Err() == nil {
		e, ok := s.queue.Next(s.now(), len(s.air) < s.cfg.Visits)
		switch {
		case !ok:
			s.startLooks(ctx)
			s.startRounds(ctx)
			return
		case e.ID == searchID(s.watches[e.Watch]):
			s.startSearch(ctx, s.watches[e.Watch])
		case e.Kind == schedule.Sweep:
			s.startSweep(ctx, e)
		default:
			s.startVisit(e)
		}
	}
}

func (s *Sensor) held() bool { return s.cfg.Held != nil && s.cfg.Held() }

// arm sets the timer to what becomes due next. What is due already waits for
// the end of a visit, which comes first, and looks again.
func (s *Sensor) arm(t *time.Timer) {
	if s.held() {
		t.Stop() // the loop comes round for the beat
		return
	}
	next, ok := s.queue.NextDue()
	if !ok {
		t.Stop()
		return
	}
	t.Reset(max(0, next.Sub(s.now())))
}
