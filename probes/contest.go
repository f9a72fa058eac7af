package probes

import "sonde/match"

// maxContest bounds the lines that are looked for behind one answer: more
// than a dozen explain no answer that we know.
const maxContest = 64

// A Contest is two lines that both match some examples, so that their order
// decides.
type Contest struct {
	Winner   *match.Rule // stands first
	Other    *match.Rule // would explain them without it
	Examples []*Example  // in the order they were given; at least one
	Next     int         // how many of them Other would win without Winner
}

// Contests gives the lines that match examples of another line too, in the
// order in which they were found. It searches each example to the end of its
// chain.
func Contests(db *Database, examples []Example) []Contest {
	type pair struct{ winner, other *match.Rule }
	at := map[pair]int{}
	var all []Contest
	scratch := match.NewScratch()
	for i := range examples {
		e := &examples[i]
		p := db.Lookup(e.Transport, e.Probe)
		if p == nil {
			continue
		}
		hits := p.Search().MatchAll(scratch, e.Answer, maxContest).Hits
		if len(hits) == 0 {
			continue
		}
		for i, h := range hits[1:] {
			key := pair{hits[0].Rule, h.Rule}
			n, ok := at[key]
			if !ok {
				n = len(all)
				at[key] = n
				all = append(all, Contest{Winner: key.winner, Other: key.other})
			}
			all[n].Examples = append(all[n].Examples, e)
			if i == 0 {
				all[n].Next++
			}
		}
	}
	return all
}
