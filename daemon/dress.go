package main

import (
	"strings"

	"sonde/config"
	"sonde/daemon/internal/event"
	"sonde/probes"
)

// dresser gives what adds to an event what the configuration knows of it: its
// severity, whether the accepted state expects it, and whose the target is.
func dresser(cfg *config.Config) func(*event.Event) {
	return func(ev *event.Event) {
		if s := cfg.SeverityFor(ev.Watch, string(ev.Action)); s != "" {
			ev.Severity = event.Severity(s)
		}
		f, about := findingOf(ev)
		if !about {
			return
		}
		if agrees, known, owner := cfg.Expected.Judge(f); known {
			ev.Expected, ev.Owner = &agrees, owner
		}
	}
}

// findingOf gives what an event says of an address. Those of watches and of the
// sensor say nothing of one.
func findingOf(ev *event.Event) (f config.Finding, about bool) {
	kind, _, _ := strings.Cut(string(ev.Action), ".")
	if o := ev.Endpoint; o == nil || kind == "watch" || kind == "sensor" {
		return f, false
	}
	o := ev.Endpoint
	f = config.Finding{At: ev.Timestamp, Addr: o.Addr, Gone: ev.Action == event.ServiceGone || ev.Action == event.HostGone}
	if kind != "host" {
		f.Port = config.PortKey{Transport: string(o.Transport), Port: o.Port}
		f.Service, f.Product = o.Service, o.Product
		if o.Strength != probes.Hard && o.Strength != probes.Soft {
			f.Service, f.Product = "", "" // a port number is no proof of the service
		}
	}
	return f, true
}
