package engine_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// A patternMaker writes random patterns over a small alphabet, so that they
// match random subjects often, in many ways, and with much backtracking.
type patternMaker struct {
	*rand.Rand
	goOnly bool // only what Go's regexp has, with the same meaning
	groups int
	depth  int
}

func (m *patternMaker) pattern() string {
	m.groups, m.depth = 0, 0
	return m.alternation()
}

func (m *patternMaker) pick(list ...string) string { return list[m.IntN(len(list))] }

func (m *patternMaker) alternation() string {
	m.depth++
	defer func() { m.depth-- }()
	branches := []string{m.concatenation()}
	for m.IntN(4) == 0 {
		branches = append(branches, m.concatenation())
	}
	return strings.Join(branches, "|")
}

func (m *patternMaker) concatenation() string {
	var b strings.Builder
	for range 1 + m.IntN(4) {
		b.WriteString(m.item())
	}
	return b.String()
}

func (m *patternMaker) item() string {
	n := m.IntN(20)
	switch {
	case n < 8:
		return m.single() + m.quantifier()
	case n < 10:
		return m.pick("a", "b", "ab", "aa", "ba", `\r\n`, "AB")
	case n < 11:
		if m.goOnly {
			return m.pick("^", `\A`, `\z`, `\b`, `\B`)
		}
		return m.pick("^", "$", `\A`, `\Z`, `\z`, `\b`, `\B`, `\G`)
	case n < 16 && m.depth < 4:
		return m.group() + m.quantifier()
	case n < 19 && m.depth < 4 && !m.goOnly:
		return m.special()
	}
	return m.single()
}

func (m *patternMaker) single() string {
	if m.goOnly {
		// Not \S: Go's \s lacks VT.
		return m.pick("a", "b", "c", ".", "[ab]", "[^a]", "[a-c]", `\w`, `\d`, `\n`, `[^\r\n]`, `\x41`, `\W`)
	}
	return m.pick("a", "b", "c", ".", "[ab]", "[^a]", "[a-c]", `\w`, `\d`, `\n`, `[^\r\n]`, `\x41`, `\W`, `\S`)
}

func (m *patternMaker) quantifier() string {
	if m.IntN(2) == 0 {
		return ""
	}
	q := m.pick("*", "+", "?", "*", "+", "{2}", "{1,2}", "{0,2}", "{1,}", "{2,}", "{0,1}")
	if m.goOnly {
		return q + m.pick("", "", "?")
	}
	return q + m.pick("", "", "?", "?", "+")
}

func (m *patternMaker) group() string {
	if m.IntN(2) == 0 {
		m.groups++
		return "(" + m.alternation() + ")"
	}
	if m.goOnly {
		return m.pick("(?:", "(?:", "(?i:", "(?s:") + m.alternation() + ")"
	}
	return m.pick("(?:", "(?:", "(?i:", "(?s:", "(?>", "(?>") + m.alternation() + ")"
}

func (m *patternMaker) special() string {
	switch m.IntN(4) {
	case 0:
		return m.pick("(?=", "(?!") + m.alternation() + ")"
	case 1:
		return m.pick("(?<=", "(?<!") + m.pick("a", "ab", "[ab]", "a|bc", "^", "(a)b", ".", `a\b`) + ")"
	case 2:
		if m.groups > 0 {
			return `\` + strconv.Itoa(1+m.IntN(min(m.groups, 9))) + m.quantifier()
		}
	}
	return "(?!" + m.concatenation() + ")"
}

func (m *patternMaker) subject() []byte {
	const alphabet = "aaaabbbbccAB1 \r\n\n\x00\xff"
	b := make([]byte, m.IntN(14))
	for i := range b {
		b[i] = alphabet[m.IntN(len(alphabet))]
	}
	return b
}
