package engine

// SearchVisited is Search with visited bits from the first step on.
func (m *Machine) SearchVisited(p *Program, b []byte) (Result, int) {
	m.prepare(p, len(b))
	if !p.backrefs {
		m.useVisited(p)
	}
	return m.search(p, b, MaxSteps), m.steps
}

// HasEmptyLoops reports whether a loop's body can match the empty string.
func (p *Program) HasEmptyLoops() bool { return len(p.outer) > 0 }
