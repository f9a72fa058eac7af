//go:build (bench || integration) && linux

package sweepbench

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"log/slog"
	"net/netip"
	"os"
	"runtime/pprof"
	"sync"
	"time"

	"sonde/capture"
	"sonde/capture/capturetest"
	"sonde/capture/onlink"
	"sonde/capture/route"
	"sonde/capture/sweep"
)

// A sweepSpec is what the process of a sweep is told.
type sweepSpec struct {
	Network    string
	Prefix     netip.Prefix // of IPv4 …
	Addrs      []netip.Addr // … or these
	Ports      []uint16
	PerSecond  int // 0 is without limit
	PerHost    int
	Tries      int
	RetryAfter time.Duration
	Linger     time.Duration
	Rounds     int // how often all is swept, 1 if 0; each has its result
	Profile    string
}

// A sweepEvent is one value that the process tells: that it begins, that an
// interface was lost or came back, or the result.
type sweepEvent struct {
	Ready  bool
	Event  *sweep.Event
	Result *sweepResult
}

type sweepResult struct {
	Stats   capture.Stats
	Open    []netip.AddrPort // accepted or answered
	Reasons map[string]int   // of all replies
	Sources []uint16
	Twice   int // targets that were told more than once
	Took    time.Duration
	CPU     time.Duration
	Payload string // of one answered datagram
}

// prefix is the addresses of one IPv4 prefix, which costs the sweep's own
// figures nothing.
type prefix struct{ netip.Prefix }

func (p prefix) base() uint32 {
	b := p.Masked().Addr().As4()
	return binary.BigEndian.Uint32(b[:])
}

func (p prefix) Len() uint64 { return 1 << (32 - p.Bits()) }
func (p prefix) At(i uint64) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], p.base()+uint32(i))
	return netip.AddrFrom4(b)
}
func (p prefix) Index(a netip.Addr) (uint64, bool) {
	if !p.Contains(a) {
		return 0, false
	}
	b := a.As4()
	return uint64(binary.BigEndian.Uint32(b[:]) - p.base()), true
}

// list is addresses in any order.
type list struct {
	addrs []netip.Addr
	index map[netip.Addr]uint64
}

func (l *list) Len() uint64            { return uint64(len(l.addrs)) }
func (l *list) At(i uint64) netip.Addr { return l.addrs[i] }
func (l *list) Index(a netip.Addr) (uint64, bool) {
	i, ok := l.index[a]
	return i, ok
}

func (s *sweepSpec) list() capture.Addrs {
	if len(s.Addrs) == 0 && s.Prefix.IsValid() {
		return prefix{s.Prefix}
	}
	l := &list{addrs: s.Addrs, index: map[netip.Addr]uint64{}}
	for i, a := range s.Addrs {
		l.index[a] = uint64(i)
	}
	return l
}

// sweepRole sweeps in a process of its own, whose CPU time is measured.
func sweepRole(ctx context.Context, js json.RawMessage, tell func(any) error) error {
	var spec sweepSpec
	if err := json.Unmarshal(js, &spec); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	routes, err := route.Open(log)
	if err != nil {
		return err
	}
	defer routes.Close()
	links := onlink.New(onlink.Config{Routes: routes, Open: onlink.OpenLink, Log: log})
	defer links.Close()
	var mu sync.Mutex // one value at a time
	say := func(e sweepEvent) error {
		mu.Lock()
		defer mu.Unlock()
		return tell(e)
	}
	cfg := sweep.Config{Routes: routes, Neighbors: onlink.Resolver{Finder: links}, Tries: spec.Tries, RetryAfter: spec.RetryAfter,
		Linger: spec.Linger, Log: log, Notify: func(e sweep.Event) { _ = say(sweepEvent{Event: &e}) }}
	if spec.PerSecond > 0 {
		cfg.Pace = sweep.NewRate(spec.PerSecond)
	}
	if spec.PerHost > 0 {
		cfg.Hosts = sweep.NewHosts(spec.PerHost)
	}
	s, err := sweep.New(cfg)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := say(sweepEvent{Ready: true}); err != nil {
		return err
	}
	for i := range max(1, spec.Rounds) {
		r, err := runSweep(ctx, s, &spec, uint64(i))
		if err != nil {
			return err
		}
		if err := say(sweepEvent{Result: r}); err != nil {
			return err
		}
	}
	if spec.Linger > 0 {
		<-ctx.Done() // late answers are still reset
	}
	return nil
}

// runSweep sweeps once.
func runSweep(ctx context.Context, s *sweep.Sweeper, spec *sweepSpec, seed uint64) (*sweepResult, error) {
	if spec.Profile != "" {
		f, err := os.Create(spec.Profile)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return nil, err
		}
		defer pprof.StopCPUProfile()
	}
	r := &sweepResult{Reasons: map[string]int{}, Sources: s.SourcePorts()}
	seen := map[netip.AddrPort]bool{}
	plan := capture.Plan{Network: spec.Network, Addrs: spec.list(), Ports: spec.Ports, Seed: seed}
	cpu, began := capturetest.CPU(), time.Now()
	var err error
	r.Stats, err = s.Sweep(ctx, plan, func(a capture.Reply) {
		r.Reasons[a.Reason]++
		if a.Kind != capture.Accepted && a.Kind != capture.Answered {
			return
		}
		if seen[a.Addr] {
			r.Twice++
		}
		seen[a.Addr] = true
		r.Open = append(r.Open, a.Addr)
		r.Payload = string(a.Payload)
	})
	r.Took, r.CPU = time.Since(began), capturetest.CPU()-cpu
	return r, err
}
