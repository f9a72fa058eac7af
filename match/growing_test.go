package match

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGrowingIsTheSameHoweverCut compares answers that arrive in random pieces
// with the whole, and each look with Match on what had arrived.
func TestGrowingIsTheSameHoweverCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 32))
	var whole, pieces Scratch
	hits, looks := 0, 0
	for range 2000 {
		set := randomSet(t, rng)
		answer := randomAnswer(rng, 400)
		want := set.Match(&whole, answer)
		g := set.Grow(&pieces)
		for end := 0; end < len(answer); {
			end = min(end+1+rng.IntN(30), len(answer))
			got := g.Look(answer[:end:end])
			if got.Steps == 0 {
				continue
			}
			looks++
			sameResult(t, got, set.Match(&whole, answer[:end]), answer[:end])
		}
		if want.Rule != nil {
			hits++
		}
		sameResult(t, g.Settle(answer), want, answer)
	}
	if hits < 500 || looks < 2000 {
		t.Errorf("only %d hits and %d looks", hits, looks)
	}
}

func sameResult(t *testing.T, got, want Result, answer []byte) {
	t.Helper()
	if got.Rule != want.Rule || !cmp.Equal(got.Identity, want.Identity) {
		t.Fatalf("answer %q in pieces: %v %+v, whole: %v %+v",
			answer, got.Rule, got.Identity, want.Rule, want.Identity)
	}
}

// TestGrowingSurvivesOtherSearches demands that a Scratch used in between makes
// a search begin anew, not go wrong.
func TestGrowingSurvivesOtherSearches(t *testing.T) {
	list, err := CompileList([]Rule{{Service: "s", Pattern: `first.*literal-one.*literal-two`}})
	if err != nil {
		t.Fatal(err)
	}
	set, sc := NewSet(list), NewScratch()
	g := set.Grow(sc)
	answer := []byte("first literal-one and then literal-two")
	g.Look(answer[:20])
	set.Match(sc, []byte("quite another answer that is longer"))
	if res := g.Settle(answer); res.Rule == nil {
		t.Error("the answer is not found after another search")
	}
	if res := g.Settle(answer[:20]); res.Rule != nil {
		t.Error("an answer that shrank still matches")
	}
}

// TestGrowingCostsAtMostThreeTimes counts steps over segments of 64 bytes.
func TestGrowingCostsAtMostThreeTimes(t *testing.T) {
	list, err := CompileList([]Rule{
		{Service: "a", Pattern: `^HTTP/1\.1 200 OK\r\n.*needle-in-the-hay`, DotAll: true},
		{Service: "b", Pattern: `^HTTP/1\.1 200 OK\r\n(?:[^\r\n]*\r\n(?!\r\n))*?Server: needle`},
		{Service: "c", Pattern: `<title>([^<]*)</title>.*</html>x`, DotAll: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	set, sc := NewSet(list), NewScratch()
	text := "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Header: of some length\r\n", 100) + "\r\n" +
		strings.Repeat("<title>a</title><p>Text of a page.</html>", 1500)
	for _, answer := range []string{text, text + "needle-in-the-hay", text + "</html>x"} {
		whole := set.Match(sc, []byte(answer)).Steps
		sum, g := 0, set.Grow(sc)
		for end := 64; end < len(answer); end += 64 {
			sum += g.Look([]byte(answer[:end])).Steps
		}
		sum += g.Settle([]byte(answer)).Steps
		if sum > 3*whole {
			t.Errorf("%d steps in segments, %d for the whole", sum, whole)
		}
	}
}
