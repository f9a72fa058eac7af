package inventory

import (
	"slices"

	"sonde/probes"
)

// believe makes o the current identity, and confirms it. Whatever was being
// confirmed ends.
func (d *decision) believe(o probes.Observation) {
	d.ask()
	d.Pending = nil
	d.Unsure = Streak{}
	d.Unverified = false
	d.LastVerified = d.visit.At
	if d.visit.Way != "" {
		d.Way = d.visit.Way
	}
	if d.visit.MAC != "" {
		d.MAC = d.visit.MAC
	}
	d.learn(&o)
	if !d.Current.Addr.IsValid() {
		d.Current = merge(&probes.Observation{}, &o)
		return
	}
	d.adopt(o)
}

// adopt moves o to the front of the identity set: merged with the one that it
// agrees with, else as a new one.
func (d *decision) adopt(o probes.Observation) {
	set := append([]probes.Observation{d.Current}, d.Others...)
	at := slices.IndexFunc(set, func(k probes.Observation) bool {
		rel := compare(&k, &o)
		return rel == same || rel == learned
	})
	if at >= 0 {
		o = merge(&set[at], &o)
		set = slices.Delete(set, at, at+1)
	} else {
		o = merge(&probes.Observation{}, &o)
	}
	d.Current = o
	d.Others = set[:min(len(set), MaxIdentities-1)]
	d.Swing.forget(&d.Current)
}

// forget takes an identity out of the set.
func (d *decision) forget(o *probes.Observation) {
	set := append([]probes.Observation{d.Current}, d.Others...)
	at := slices.IndexFunc(set, func(k probes.Observation) bool {
		return compare(&k, o) == same && compare(o, &k) == same
	})
	set = slices.Delete(set, at, at+1)
	d.Current, d.Others = probes.Observation{}, nil
	if len(set) > 0 {
		d.Current, d.Others = set[0], set[1:]
	}
}
