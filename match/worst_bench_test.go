//go:build bench

package match

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sonde/match/internal/sample"
	"sonde/match/internal/shared"
	"sonde/match/syntax"
)

// keptWorst is how many of the worst answers are measured against PCRE2.
const keptWorst = 12

// A crafted answer is one made to cost much.
type crafted struct {
	set  *Set
	data []byte
	name string
	cost time.Duration
}

// worst searches for answers of 64 KiB that cost the most: made from each
// line's tree with its loops blown up, made of nearly matching text, and then
// changed further as long as that makes them dearer.
func (b *bench) worst() time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	w := &worstSearch{bench: b, sc: NewScratch()}
	w.maker.Rand = rand.New(rand.NewPCG(21, 22))
	w.maker.Most = MaxAnswer
	for _, p := range b.db.probes {
		set := b.db.set(p.Transport, p.Name)
		for _, l := range p.Lines {
			w.fromLine(set, l)
		}
	}
	w.shapes()
	w.climb(20 * time.Second)
	var answers []*benchAnswer
	for _, c := range w.kept {
		answers = append(answers, &benchAnswer{set: c.set, lists: c.set.lists, data: c.data, name: c.name})
	}
	b.measure(answers, [4]int{1, 1, 1, 9})
	b.segments("crafted answers", answers)
	b.save(w.kept)
	b.t.Logf("%d crafted answers of up to 64 KiB; the worst, ms:", w.tried)
	most := time.Duration(0)
	for _, a := range answers {
		b.t.Logf("%-40s %6d bytes | PCRE2 %.2f | PCRE2 JIT %.2f | Hyperscan %.2f | this package %.2f (%d steps, %d undecided)", a.name, len(a.data),
			ms(a.times[0]), ms(a.times[1]), ms(a.times[2]), ms(a.times[own]), a.set.Match(w.sc, a.data).Steps, a.undecided)
		most = max(most, a.times[own])
	}
	return most
}

// save writes the worst answers to the directory WORST_DIR, if that is set, to
// be looked into.
func (b *bench) save(kept []crafted) {
	dir := os.Getenv("WORST_DIR")
	if dir == "" {
		return
	}
	for i, c := range kept {
		for key, set := range b.db.sets {
			if set == c.set {
				name := fmt.Sprintf("%02d %s", i, strings.ReplaceAll(key, "/", "_"))
				if err := os.WriteFile(filepath.Join(dir, name), c.data, 0o600); err != nil {
					b.t.Error(err)
				}
			}
		}
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// cpuTime is what this thread has used: the search is for answers that cost
// much, not for moments in which the machine was busy.
func cpuTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

type worstSearch struct {
	*bench
	sc    *Scratch
	maker sample.Maker
	kept  []crafted // the dearest first
	tried int
}

// try measures an answer and keeps it if it is among the worst, one per line.
func (w *worstSearch) try(set *Set, data []byte, name string) time.Duration {
	w.tried++
	data = data[:min(len(data), MaxAnswer)]
	cost := w.cost(set, data)
	if len(w.kept) == keptWorst && cost <= w.kept[keptWorst-1].cost {
		return cost
	}
	cost = min(cost, w.cost(set, data), w.cost(set, data))
	w.kept = slices.DeleteFunc(w.kept, func(c crafted) bool { return c.name == name && c.cost < cost })
	if !slices.ContainsFunc(w.kept, func(c crafted) bool { return c.name == name }) {
		w.kept = append(w.kept, crafted{set, bytes.Clone(data), name, cost})
	}
	slices.SortFunc(w.kept, func(a, b crafted) int { return int(b.cost - a.cost) })
	w.kept = w.kept[:min(len(w.kept), keptWorst)]
	return cost
}

func (w *worstSearch) cost(set *Set, data []byte) time.Duration {
	start := cpuTime()
	set.Match(w.sc, data)
	return cpuTime() - start
}

// fromLine makes long answers from one line, whole and without their end.
func (w *worstSearch) fromLine(set *Set, l shared.Line) {
	re, err := syntax.Parse(l.Pattern, syntax.Flags{IgnoreCase: l.IgnoreCase, DotAll: l.DotAll})
	if err != nil {
		w.t.Fatal(err)
	}
	name := fmt.Sprintf("line %d", l.Number)
	fills := []int{100, 3000, 70000}
	if !strings.ContainsAny(l.Pattern, "*+,") {
		fills = fills[:1] // nothing to blow up
	}
	for _, fill := range fills {
		w.maker.Fill = fill
		b := w.maker.Make(re)
		w.try(set, b, name)
		if len(b) > 3 {
			w.try(set, w.maker.Spoil(b), name)
			w.try(set, append(b[:len(b)-2:len(b)-2], bytes.Repeat([]byte{b[len(b)/2]}, max(MaxAnswer-len(b), 0))...), name)
			w.try(set, bytes.Repeat(b, MaxAnswer/len(b)+1), name)
			half := b[:len(b)/2]
			w.try(set, bytes.Repeat(half, MaxAnswer/max(len(half), 1)+1), name)
		}
	}
}

// shapes tries answers that do not come from one line.
func (w *worstSearch) shapes() {
	starts := []string{"", "HTTP/1.1 200 OK\r\n", "HTTP/1.0 401 Unauthorized\r\nServer: ", "220 ", "220-", "SSH-2.0-", "\x16\x03\x01", "+OK ", "* OK ", "\xff\xfb\x01", "<", "0", "SIP/2.0 200 OK\r\n", "\x00"}
	fills := []string{"\x00", " ", "a", "\r\n", "a\r\n", "\n", "-", "1", "1.", "Server: ", "Server: a\r\n", "\r\nServer: ", "<title>", "a b", "\xff\xfb", "ftp", "220-a\r\n", "\\", "/", "a.b/", "0\x02\x01\x00"}
	for _, p := range []string{"NULL", "GetRequest", "GenericLines", "SIPOptions", "Help"} {
		set := w.db.set("tcp", p)
		var all strings.Builder
		for _, l := range w.db.probes {
			if l.Name != p || l.Transport != "tcp" {
				continue
			}
			for _, line := range l.Lines {
				re, _ := syntax.Parse(line.Pattern, syntax.Flags{IgnoreCase: line.IgnoreCase, DotAll: line.DotAll})
				w.maker.Fill = 0
				b := w.maker.Make(re)
				all.Write(b[min(len(b), 16):])
			}
		}
		text := all.String()
		for _, s := range starts {
			for _, f := range fills {
				w.try(set, []byte(s+strings.Repeat(f, MaxAnswer/len(f))), fmt.Sprintf("%s %.10q + %q", p, s, f))
			}
			for from := 0; from < len(text); from += MaxAnswer / 2 {
				w.try(set, []byte(s+text[from:]), fmt.Sprintf("%s %.10q + pieces of all lines", p, s))
			}
		}
	}
}

// climb changes the worst answers as long as that makes them worse.
func (w *worstSearch) climb(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		c := w.kept[w.maker.IntN(len(w.kept))]
		b := w.maker.Spoil(c.data)
		if w.maker.IntN(3) == 0 {
			other := w.kept[w.maker.IntN(len(w.kept))].data
			at := w.maker.IntN(len(b) + 1)
			b = append(b[:at:at], other[min(w.maker.IntN(len(other)), len(other)):]...)
		}
		w.try(c.set, b, c.name)
	}
}
