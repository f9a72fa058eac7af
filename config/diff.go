package config

import "reflect"

// Equal says whether both want the same in every respect.
func (c *Config) Equal(o *Config) bool { return reflect.DeepEqual(c, o) }

// Equal says whether both watches want the same.
func (w *Watch) Equal(o *Watch) bool { return reflect.DeepEqual(w, o) }

// A Change is what differs between two configurations, for a reload.
type Change struct {
	Added   []string // names of watches, in the order of the new file
	Removed []string // … of the old file
	Changed []string // … of the new file

	State, Identity, Limits, Discovery, Passive, Confirm, Database, Output, Sent, Excluded, Maintenance, Expected, Severity bool

	// Restart names what cannot be changed while running.
	Restart []string
}

// IsZero says that nothing differs.
func (d Change) IsZero() bool { return reflect.DeepEqual(d, Change{}) }

// Diff says what is different in now. Watches are told apart by name.
func Diff(old, now *Config) Change {
	d := Change{
		State:       old.State != now.State,
		Identity:    old.Identity != now.Identity,
		Limits:      old.Limits != now.Limits,
		Discovery:   old.Discovery != now.Discovery,
		Passive:     !reflect.DeepEqual(old.Passive, now.Passive),
		Confirm:     old.Confirm != now.Confirm,
		Database:    !reflect.DeepEqual(old.Database, now.Database),
		Output:      !reflect.DeepEqual(old.Output, now.Output),
		Sent:        old.Sent != now.Sent,
		Maintenance: !reflect.DeepEqual(old.Maintenance, now.Maintenance),
		Excluded:    !old.Excluded.Equal(now.Excluded),
		Expected:    !reflect.DeepEqual(old.Expected, now.Expected),
		Severity:    !reflect.DeepEqual(old.Severity, now.Severity),
	}
	if old.Sensor.Name != now.Sensor.Name {
		d.Restart = append(d.Restart, "sensor.name")
	}
	if old.Sensor.StateDir != now.Sensor.StateDir {
		d.Restart = append(d.Restart, "sensor.state_dir")
	}
	control := now.Control
	if old.Sensor.StateDir != now.Sensor.StateDir {
		control.Directory = old.Control.Directory // it may only follow
	}
	if old.Control != control {
		d.Restart = append(d.Restart, "control")
	}
	before := byName(old)
	for i := range now.Watches {
		w := &now.Watches[i]
		switch o := before[w.Name]; {
		case o == nil:
			d.Added = append(d.Added, w.Name)
		case !o.Equal(w):
			d.Changed = append(d.Changed, w.Name)
		}
		delete(before, w.Name)
	}
	for _, w := range old.Watches {
		if before[w.Name] != nil {
			d.Removed = append(d.Removed, w.Name)
		}
	}
	return d
}

func byName(c *Config) map[string]*Watch {
	m := make(map[string]*Watch, len(c.Watches))
	for i := range c.Watches {
		m[c.Watches[i].Name] = &c.Watches[i]
	}
	return m
}
