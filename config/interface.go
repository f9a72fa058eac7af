package config

import (
	"cmp"
	"fmt"
	"slices"
)

// checkWatchInterface says which targets are not reached by the interface of a
// watch, whatever the routes of the machine are.
func checkWatchInterface(w *Watch) error {
	if w.Interface == "" {
		return nil
	}
	if near, _ := NewAddrSet(w.Targets...).SplitLoopback(); near.Len() > 0 {
		return fmt.Errorf("%s leads to no loopback address such as %s; give these a watch without an interface",
			w.Interface, near.Ranges()[0].First)
	}
	for _, t := range w.Targets {
		if zone := t.First.Zone(); zone != "" && zone != w.Interface {
			return fmt.Errorf("%s does not lead to %s, which names another one; write one name in both places",
				w.Interface, t)
		}
	}
	return nil
}

// interfaceText is the interface of a watch as a mistake tells it.
func interfaceText(w *Watch) string {
	if w.Interface == "" {
		return "not set"
	}
	return fmt.Sprintf("%q", w.Interface)
}

// divided finds targets of watches in one zone that overlap, though the watches
// reach them by different interfaces: of each watch one such target at most.
func divided(watches []Watch) (out [][2]claim) {
	zones := map[string][]claim{}
	for i, w := range watches {
		for j, t := range w.Targets {
			zones[w.Zone] = append(zones[w.Zone], claim{t, i, j})
		}
	}
	told := map[int]bool{}
	for _, claims := range zones {
		slices.SortStableFunc(claims, func(a, b claim) int {
			return cmp.Or(compareRanges(a.Range, b.Range), cmp.Compare(a.watch, b.watch))
		})
		// Of the ranges that begin before another one, only that which ends last
		// of each interface can reach into it, or none does.
		var furthest []claim
		for _, b := range claims {
			for _, a := range furthest {
				later := max(a.watch, b.watch)
				if watches[a.watch].Interface == watches[b.watch].Interface || !a.Overlaps(b.Range) || told[later] {
					continue
				}
				told[later] = true
				if a.watch < b.watch {
					out = append(out, [2]claim{a, b})
				} else {
					out = append(out, [2]claim{b, a})
				}
			}
			furthest = reaches(watches, furthest, b)
		}
	}
	slices.SortFunc(out, func(x, y [2]claim) int { return cmp.Compare(x[1].watch, y[1].watch) })
	return out
}

// reaches puts a claim in the place of one by the same interface that ends
// before it.
func reaches(watches []Watch, furthest []claim, b claim) []claim {
	at := slices.IndexFunc(furthest, func(a claim) bool {
		return watches[a.watch].Interface == watches[b.watch].Interface && a.First.Zone() == b.First.Zone() &&
			a.First.BitLen() == b.First.BitLen()
	})
	switch {
	case at < 0:
		return append(furthest, b)
	case furthest[at].Last.Less(b.Last):
		furthest[at] = b
	}
	return furthest
}
