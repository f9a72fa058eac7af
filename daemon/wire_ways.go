package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"sonde/capture/route"
	"sonde/config"
)

const (
	// lookPause lies between two looks at the ways: changes of routes come in
	// bursts, and a look at a large configuration takes some milliseconds.
	lookPause = 250 * time.Millisecond
	// lookEvery is how often is looked without a change while something is lost.
	lookEvery = time.Second
	// noWayAfter is how long no way may lead to a watch before that is told: a
	// route comes a moment after its interface.
	noWayAfter = 5 * time.Second
)

// A wayfinder follows the ways to the watches of a configuration, and notes what
// is lost of them. It is a task.
type wayfinder struct {
	routes   *route.Table
	outages  *outages
	scopes   map[string]wired // by watch
	named    []string         // interfaces of watches, and to listen on
	problems []problemPlan    // of the interfaces of watches, at the start
	log      *slog.Logger

	used  map[string]bool      // interfaces that led to a watch at the last look
	noWay map[string]time.Time // since when to which watch
}

// wired are addresses that are reached over a wire, by an interface, "" for any.
type wired struct {
	addrs config.AddrSet
	via   string
}

func newWayfinder(cfg *config.Config, net *network, log *slog.Logger) *wayfinder {
	f := &wayfinder{routes: net.routes, outages: net.outages, scopes: map[string]wired{}, log: log,
		problems: net.interfaceProblems(cfg), used: map[string]bool{}, noWay: map[string]time.Time{}}
	for i := range cfg.Watches {
		w := &cfg.Watches[i]
		if _, far := cfg.Scope(w).SplitLoopback(); far.Len() > 0 {
			f.scopes[w.Name] = wired{far, w.Interface}
			if w.Interface != "" {
				f.named = append(f.named, w.Interface)
			}
		}
	}
	if listens(cfg) && net.capture == nil {
		f.named = append(f.named, cfg.Passive.Interfaces...)
	}
	return f
}

// Name implements task.Task.
func (*wayfinder) Name() string { return "ways" }

// Run implements task.Task.
func (f *wayfinder) Run(ctx context.Context, ready func()) error {
	changes, stop := f.routes.Watch()
	defer stop()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	f.look(time.Now())
	for _, p := range f.problems {
		f.log.Warn("the interface of a watch does not serve", "watch", p.Watch, "reason", p.Reason)
	}
	ready()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changes:
		case <-tick.C:
			if len(f.outages.names())+len(f.noWay) == 0 {
				continue
			}
		}
		f.look(time.Now())
		select {
		case <-ctx.Done():
		case <-time.After(lookPause):
		}
	}
}

// look compares what is with what was.
func (f *wayfinder) look(now time.Time) {
	list, err := f.routes.Interfaces()
	if err != nil {
		f.log.Warn("interfaces not read", "err", err)
		return
	}
	there := map[string]route.Interface{}
	for _, i := range list {
		there[i.Name] = i
	}
	led := map[string]bool{}
	for name, scope := range f.scopes {
		links, noWay := reached(f.routes, scope.addrs, scope.via)
		maps.Copy(led, links)
		f.watch(name, noWay, now)
	}
	for name := range f.used {
		f.outages.set(name, whyNot(there, name))
	}
	for name := range led {
		f.outages.set(name, whyNot(there, name))
	}
	for _, name := range f.named {
		f.outages.set(name, whyNot(there, name))
	}
	for _, name := range f.outages.names() {
		switch {
		case whyNot(there, name) == "":
			f.outages.set(name, "")
		case f.needless(name, led):
			f.outages.end(name, "is not needed any more")
		}
	}
	f.used = led
}

// whyNot says why an interface cannot be used, "" if it can.
func whyNot(there map[string]route.Interface, name string) string {
	switch i, ok := there[name]; {
	case !ok:
		return "there is no such interface"
	case !i.Admin:
		return "interface is down"
	case !i.Up:
		return "interface has no carrier"
	}
	return ""
}

// needless says that something lost is needed no more, as everything is reached
// without it, or a watch is not in this configuration.
func (f *wayfinder) needless(name string, led map[string]bool) bool {
	if watch, ok := strings.CutPrefix(name, watchPrefix); ok {
		_, lost := f.noWay[watch]
		return !lost
	}
	if slices.Contains(f.named, name) || len(f.noWay) > 0 {
		return false
	}
	_, leads := led[name]
	return !leads
}

// watch notes whether some address of a watch has no way. That follows from an
// interface that is lost, and is told only where it does not.
func (f *wayfinder) watch(name string, noWay error, now time.Time) {
	if noWay == nil {
		delete(f.noWay, name)
		f.outages.set(watchPrefix+name, "")
		return
	}
	since, known := f.noWay[name]
	if !known {
		since, f.noWay[name] = now, now
	}
	explained := slices.ContainsFunc(f.outages.names(), func(lost string) bool {
		return !strings.HasPrefix(lost, watchPrefix)
	})
	if !explained && now.Sub(since) >= noWayAfter {
		f.outages.set(watchPrefix+name, noWay.Error())
	}
}

// watchPrefix keeps the outages of watches apart from those of interfaces, whose
// names hold no blank.
const watchPrefix = "watch "
