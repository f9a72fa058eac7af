package control

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/daemon/internal/quiet"
	"sonde/daemon/internal/sensor"
	"sonde/probes"
)

// What a listener grants. 64 connections with 32 KiB of buffers each are 2 MiB.
const (
	maxConnections = 64
	maxHeader      = 16 << 10
	maxBody        = 16 << 10

	headerWithin = 5 * time.Second  // from the connection on, or the answer before
	readWithin   = 10 * time.Second // the whole request
	answerWithin = time.Minute      // from the header's end on; a page has a few MiB
	idleFor      = 30 * time.Second
	closeWithin  = time.Second // answers under way when the daemon stops
)

// readsAtOnce is how many requests read the store at once. It has four
// connections, of which the outputs need some.
const readsAtOnce = 2

// A Sensor is what answers for the loop; see sensor.Sensor.
type Sensor interface {
	Overview(ctx context.Context) (sensor.Overview, error)
	Next(ctx context.Context, k event.Key) (sensor.Plan, error)
	Verify(ctx context.Context, k event.Key) (probes.Observation, error)
	Release(ctx context.Context, h event.Host) error
	Obey(ctx context.Context) error
}

// A Generation is what the daemon works with under one configuration. It is
// replaced as a whole, and not written to.
type Generation struct {
	Sensor    Sensor
	Store     *inventory.Store
	Orders    *quiet.Book
	Database  *probes.Database
	Discovery Discovery
	// Asks gives the watches that ask an endpoint, at most one of each zone, or
	// says why none does.
	Asks func(t probes.Transport, a netip.Addr, port uint16) (list []Asker, why string)
	// Zones gives those of the watches that an address is in.
	Zones   func(a netip.Addr) []string
	Watches []string
	// BestEffort are the watches whose promises may be broken.
	BestEffort map[string]bool
	// Hours are those in which a watch may send, by name; those that always may
	// have none.
	Hours map[string]func(time.Time) (in bool, until time.Time)
	// Outputs tells how the destinations of events do.
	Outputs func(ctx context.Context) ([]Output, error)
}

// Config is what a Server is made of. Listeners that are nil are left out.
type Config struct {
	Read  net.Listener // of those who ask
	Act   net.Listener // of those who tell the daemon what to do
	Local net.Listener // of anybody on this machine: metrics and health

	Version string
	Started time.Time
	// Beat tells when the loop came round last, as the watchdog hears it.
	Beat func() time.Time
	// StallAfter is how long the loop may take before the sensor counts as
	// stalled.
	StallAfter time.Duration
	// Hanging names another loop that the watchdog takes for stalled, and says
	// since when; "" for none. May be nil.
	Hanging func() (loop string, since time.Duration)
	// Reload reads the configuration again; its error says why the old one
	// stays.
	Reload func(ctx context.Context) error
	Log    *slog.Logger
}

// A Server answers. It outlives configurations.
type Server struct {
	cfg     Config
	now     atomic.Pointer[Generation] // nil: the daemon is between two
	reads   chan struct{}              // one for each that reads the store
	within  time.Duration              // the loop has to answer
	metrics http.Handler

	looking sync.Mutex // guards what follows
	last    *look      // what was seen last, or nil
}

// NewServer returns a server that answers once Run is called.
func NewServer(cfg Config) *Server {
	s := &Server{cfg: cfg, within: lookWithin, reads: make(chan struct{}, readsAtOnce)}
	s.metrics = s.newMetrics()
	return s
}

// Use has the server answer from what the daemon works with now; nil says that
// it is about to change.
func (s *Server) Use(g *Generation) { s.now.Store(g) }

// Name implements task.Task.
func (*Server) Name() string { return "control" }

// Run answers until ctx ends, and closes the listeners. It returns when no
// request is under way any more.
func (s *Server) Run(ctx context.Context, ready func()) error {
	var (
		all  sync.WaitGroup
		errs [3]error
	)
	for i, of := range []struct {
		l net.Listener
		h http.Handler
	}{{s.cfg.Read, s.readHandler()}, {s.cfg.Act, s.actHandler()}, {s.cfg.Local, s.localHandler()}} {
		if of.l != nil {
			all.Go(func() { errs[i] = s.serve(ctx, of.l, of.h) })
		}
	}
	ready()
	all.Wait()
	return errors.Join(errs[:]...)
}

// serve answers on one listener.
func (s *Server) serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler: bounded(h), MaxHeaderBytes: maxHeader,
		ReadHeaderTimeout: headerWithin, ReadTimeout: readWithin, WriteTimeout: answerWithin, IdleTimeout: idleFor,
		BaseContext: func(net.Listener) context.Context { return ctx },
		// Whoever connects decides what is logged here.
		ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
	ctx, end := context.WithCancel(ctx)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
		defer cancel()
		if srv.Shutdown(last) != nil {
			_ = srv.Close() // what is not over by now has no use
		}
	}()
	err := srv.Serve(netutil.LimitListener(peerListener{l}, maxConnections))
	end()
	<-closed
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// bounded cuts the bodies of requests.
func bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		h.ServeHTTP(w, r)
	})
}

// readHandler answers those who may ask.
func (s *Server) readHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", answer(s.status))
	mux.HandleFunc("GET /v1/explain", answer(s.explain))
	mux.HandleFunc("GET /v1/inventory", answer(s.list))
	mux.HandleFunc("GET /v1/events", answer(s.events))
	s.handleLocal(mux)
	return mux
}

// localHandler answers anybody on this machine.
func (s *Server) localHandler() http.Handler {
	mux := http.NewServeMux()
	s.handleLocal(mux)
	return onlyByAddress(mux)
}

func (s *Server) handleLocal(mux *http.ServeMux) {
	mux.Handle("GET /metrics", s.metrics)
	mux.HandleFunc("GET /healthz", s.healthz)
}

// read waits for its turn to read the store, and gives what ends it.
func (s *Server) read(ctx context.Context) (done func(), err error) {
	select {
	case s.reads <- struct{}{}:
		return func() { <-s.reads }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
