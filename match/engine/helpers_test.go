package engine_test

import "sonde/match/engine"

// groupsOf searches and gives start and end of the groups, as PCRE2 counts
// them: without those behind the last one that is set.
func groupsOf(m *engine.Machine, p *engine.Program, b []byte, visited bool) (groups []int32, undecided bool) {
	search := m.Search
	if visited {
		search = m.SearchVisited
	}
	switch r, _ := search(p, b); r {
	case engine.NoMatch:
		return nil, false
	case engine.Undecided:
		return nil, true
	}
	set := 0
	for i := range m.Groups() {
		lo, hi, ok := m.Bounds(i)
		if !ok {
			lo, hi = -1, -1
		} else {
			set = i
		}
		groups = append(groups, int32(lo), int32(hi))
	}
	return groups[:2*set+2], false
}
