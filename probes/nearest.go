package probes

import (
	"errors"
	"fmt"

	"github.com/agnivade/levenshtein"

	"sonde/probes/grammar"
)

// maxTypo bounds what is compared of an unknown id: ours have 40 bytes at most.
const maxTypo = 128

// An UnknownIDError is the id of a line that no source has.
type UnknownIDError struct {
	ID      string
	Nearest string // the id that is most like it; "" if there are none
}

// Error names the id that is most like it.
func (e *UnknownIDError) Error() string {
	if e.Nearest == "" {
		return fmt.Sprintf("no line has the id %q", e.ID)
	}
	return fmt.Sprintf("no line has the id %q; the nearest is %q", e.ID, e.Nearest)
}

// UnknownIDs gives an [UnknownIDError] for each id that no rule of the sources
// has, joined, or nil.
func UnknownIDs(ids []string, sources ...Source) error {
	if len(ids) == 0 {
		return nil
	}
	known := map[string]bool{}
	var order []string
	for _, s := range sources {
		f, _ := grammar.Parse(s.Name, s.Data) // its mistakes are Load's to tell
		for _, p := range f.Probes {
			for i := range p.Rules {
				if id := p.Rules[i].ID; id != "" && !known[id] {
					known[id] = true
					order = append(order, id)
				}
			}
		}
	}
	var errs []error
	for _, id := range ids {
		if !known[id] {
			errs = append(errs, &UnknownIDError{ID: id, Nearest: nearest(id, order)})
		}
	}
	return errors.Join(errs...)
}

// nearest gives the id that takes the fewest edits to come from s, the first
// of them in order where several do.
func nearest(s string, ids []string) string {
	s = s[:min(len(s), maxTypo)] // a longer one is no typing error
	best, least := "", -1
	for _, id := range ids {
		if d := levenshtein.ComputeDistance(s, id); least < 0 || d < least {
			best, least = id, d
		}
	}
	return best
}
