package engine_test

import "sonde/match/engine"

// groupsOf searches and gives start and end of the groups, as PCRE2 counts
// them: without those behind the last one that is set.
func groupsOf(
	m *engine.Machine, p *engine.Program, b []byte,
	search func(*engine.Program, []byte) (engine.Result, int),
) (groups []int32, undecided bool) {
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

// searches are the ways to search that give groups, by name.
func searches(m *engine.Machine) map[string]func(*engine.Program, []byte) (engine.Result, int) {
	return map[string]func(*engine.Program, []byte) (engine.Result, int){
		"as chosen": m.Search, "plain": m.SearchBacktrack, "with visited bits": m.SearchVisited,
	}
}
