package main

import (
	"time"

	"sonde/daemon/internal/emit"
	"sonde/daemon/internal/sent"
	"sonde/daemon/internal/task"
	"sonde/systemd"
)

// A part is a loop beside the sensor's own, whose standing still must not go
// unnoticed.
type part struct {
	name string
	// busy is how long it has been at one thing; 0 while it waits for work.
	busy func() time.Duration
	// patience is how long that may be though all is well here; what is asked
	// for, if that is more.
	patience time.Duration
}

// follow has the watchdog look at the loops of a generation.
func (d *daemon) follow(work *parts, log *sent.Log, drains []task.Task) {
	list := []part{{name: "visits", busy: d.machine.busy}, {name: "sweeps", busy: work.sweeps.busy}}
	if work.listener != nil {
		list = append(list, part{name: "listening", busy: work.listener.watcher.Busy})
	}
	if log != nil {
		list = append(list, part{name: "log of what was sent", busy: log.Busy})
	}
	for _, t := range drains {
		if o, ok := t.(*emit.Drain); ok {
			list = append(list, part{"output " + o.Sink.Name(), o.Busy, o.Patience()})
		}
	}
	d.beside.Store(&list)
}

// hanging names a loop that has been at one thing for longer than that, and for
// how long; "" if there is none.
func (d *daemon) hanging(within time.Duration) (name string, since time.Duration) {
	list := d.beside.Load()
	if list == nil {
		return "", 0
	}
	for _, p := range *list {
		if busy := p.busy(); busy > max(within, p.patience) {
			return p.name, busy
		}
	}
	return "", 0
}

// watchdog gives what the sensor's loop calls when it has done work: it feeds the
// service manager's watchdog as often as that wants, unless another loop hangs. It
// is nil without a watchdog.
func (d *daemon) watchdog() func() {
	every, err := systemd.WatchdogInterval()
	if err != nil {
		d.log.Warn("no watchdog", "err", err)
	}
	if every <= 0 {
		return nil
	}
	var looked time.Time
	return func() {
		// The loop comes round at least every ten seconds. Half the interval
		// keeps that from being a little early, and the next time too late.
		now := time.Now()
		if now.Sub(looked) < every/2 {
			return
		}
		looked = now
		if name, since := d.hanging(every); name != "" {
			d.log.Error("a loop hangs: the service manager is not told that all is well", "loop", name,
				"for", since.Round(time.Second))
			return
		}
		d.tell(systemd.Alive)
	}
}
