package config

import (
	"maps"
	"slices"
)

// Severities are the severities of actions, where they are others than the
// event contract has: "service.new" to "error".
type Severities map[string]string

// Actions are the actions that a severity can be given to: all of the event
// contract.
var Actions = []string{
	"sensor.started", "sensor.stopped", "sensor.heartbeat", "sensor.degraded", "sensor.recovered",
	"watch.baselined", "watch.retired", "watch.overdue", "watch.recovered", "watch.unreachable", "watch.mass_change",
	"service.baseline", "service.new", "service.changed", "service.gone", "service.returned",
	"service.unverified", "service.reclassified", "service.unstable", "service.stable",
	"certificate.renewed", "certificate.changed", "certificate.expiring", "certificate.expired",
	"host.new", "host.gone", "host.returned", "host.moved", "host.answers_everything", "host.distress", "host.recovered",
}

// severities reads a table of actions. Those of several files join.
func severities[T any](at func(*T) *Severities) setter[T] {
	known := table[Severities]{}
	for _, action := range Actions {
		known[action] = func(r *reader, into *Severities, v value) {
			s, ok := v.any.(string)
			if !ok {
				r.bad(v, `is %s, but must be a string; write "%s" = "warning"`, kindOf(v.any), action)
				return
			}
			if err := oneOf("info", "notice", "warning", "error")(s); err != nil {
				r.bad(v, "%v", err)
				return
			}
			if !r.once(v) {
				return
			}
			all := maps.Clone(*into)
			if all == nil {
				all = Severities{}
			}
			all[action] = s
			*into = all
		}
	}
	return sub(at, known)
}

// SeverityFor gives the configured severity of an action in a watch, "" for
// none: that of the watch, else that for all. watch may be "".
func (c *Config) SeverityFor(watch, action string) string {
	at := slices.IndexFunc(c.Watches, func(w Watch) bool { return w.Name == watch })
	if at >= 0 {
		if s := c.Watches[at].Severity[action]; s != "" {
			return s
		}
	}
	return c.Severity[action]
}
