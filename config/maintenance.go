package config

import (
	"fmt"
	"net/netip"
	"slices"
)

// A Maintenance is a time in which changes are expected: events of what it
// covers are written to the event file, marked as silenced, and go nowhere
// else. What is asked stays the same.
type Maintenance struct {
	Name    string
	Watches []string // nil: all
	Targets []Range  // nil: all
	Hours   Hours
}

// Covers says whether an event about an address of a watch belongs to it. One
// about the watch as a whole, without a valid address, belongs to a maintenance
// of that whole watch.
func (m *Maintenance) Covers(watch string, a netip.Addr) bool {
	if m.Watches != nil && !slices.Contains(m.Watches, watch) {
		return false
	}
	if m.Targets == nil {
		return true
	}
	return slices.ContainsFunc(m.Targets, func(r Range) bool { return a.IsValid() && r.Contains(a) })
}

var maintenanceTable = table[Maintenance]{
	"name":      text(func(m *Maintenance) *string { return &m.Name }, checkLabel),
	"watches":   strs(func(m *Maintenance) *[]string { return &m.Watches }, `"office"`, parseLabel),
	"targets":   strs(func(m *Maintenance) *[]Range { return &m.Targets }, `"192.0.2.0/24"`, ParseRange),
	"windows":   strs(func(m *Maintenance) *[]Span { return &m.Hours.Spans }, `"Sat 22:00-04:00"`, parseSpan),
	"time_zone": text(func(m *Maintenance) *string { return &m.Hours.Zone }, checkZone),
}

func parseLabel(s string) (string, error) { return s, checkLabel(s) }

// maintenances reads [[maintenance]] tables.
func maintenances(r *reader, c *Config, v value) {
	tables, ok := v.tables()
	if !ok {
		r.bad(v, "is %s, but must be a list of tables; write [[maintenance]] with double brackets", kindOf(v.any))
		return
	}
	for i, t := range tables {
		e := value{t, v.file, fmt.Sprintf("maintenance[%d]", len(c.Maintenance)), "maintenance", v.place.item(i)}
		m := Maintenance{}
		r.set[e.path] = e.pos()
		before := len(r.errs)
		maintenanceTable.read(r, &m, e)
		c.Maintenance = append(c.Maintenance, m)
		if len(r.errs) > before {
			continue
		}
		if m.Name == "" {
			r.fail(e.pos(), "maintenance.name", `is missing; write name = "patch-night"`)
		}
		if len(m.Hours.Spans) == 0 {
			r.fail(e.pos(), "maintenance.windows", `is missing or empty; write windows = ["Sat 22:00-04:00"]`)
		}
	}
}

// checkMaintenance checks that the watches exist.
func (r *reader) checkMaintenance(c *Config) {
	for i := range c.Maintenance {
		for _, name := range c.Maintenance[i].Watches {
			if !slices.ContainsFunc(c.Watches, func(w Watch) bool { return w.Name == name }) {
				at := r.set[fmt.Sprintf("maintenance[%d].watches", i)]
				r.fail(at, "maintenance.watches", "%q is no watch; name one, or leave watches out for all", name)
			}
		}
	}
}
