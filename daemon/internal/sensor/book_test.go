package sensor

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/daemon/internal/event"
	"sonde/probes"
	"sonde/probes/session"
)

// TestBookCountsAsANaiveOneDoes plays random visits, and counts after each what
// is known by looking at all of it.
func TestBookCountsAsANaiveOneDoes(t *testing.T) {
	type fact struct {
		known
		every time.Duration
		aside bool
	}
	watches := []Watch{{Name: "a", VerifyEvery: time.Hour}, {Name: "b", VerifyEvery: 24 * time.Hour}}
	rng := rand.New(rand.NewPCG(1, 2))
	b, naive := newBook(watches), map[event.Key]fact{}
	now := time.Unix(1e9, 0).UTC()
	outcomes := []probes.Outcome{probes.OutcomeAnswered, probes.OutcomeBlocked, probes.OutcomeHeld, probes.OutcomeSilent}
	for range 3000 {
		now = now.Add(time.Duration(rng.Int64N(int64(5 * time.Minute))))
		key := event.Key{Zone: "z", Transport: probes.TCP, Port: uint16(1 + rng.IntN(9)),
			Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(rng.IntN(6))})}
		if rng.IntN(4) == 0 {
			if _, there := naive[key]; b.drop(key) != there {
				t.Fatalf("%s: known %v, and dropped otherwise", key, there)
			}
			delete(naive, key)
		} else {
			w := &watches[rng.IntN(2)]
			f := fact{known: known{watch: w.Name, visited: now, unstable: rng.IntN(9) == 0, fails: rng.IntN(300),
				outcome: outcomes[rng.IntN(4)], remembered: session.Remembered{Probe: fmt.Sprint(rng.IntN(3))}},
				every: w.VerifyEvery * time.Duration(1+rng.IntN(3)), aside: rng.IntN(5) == 0}
			if rng.IntN(8) > 0 {
				f.verified = now.Add(-time.Duration(rng.Int64N(int64(w.VerifyEvery))))
			}
			b.put(key, &f.known, f.every, f.aside)
			naive[key] = f
		}
		for i := range watches {
			name, every := watches[i].Name, watches[i].VerifyEvery
			var want, late tally // late counts what has been so for two steps
			for _, f := range naive {
				if f.watch != name {
					continue
				}
				want.known++
				for _, w := range []struct {
					of    *tally
					after time.Duration
				}{{&want, 0}, {&late, 2}} {
					age := now.Sub(f.visited) - w.after*f.every/agesIn
					if !f.aside && age > f.every {
						w.of.overdue++
						w.of.oldest = max(w.of.oldest, age)
					}
					if now.Sub(f.verified)-w.after*every/agesIn <= every {
						w.of.fresh++
					}
				}
				for n, is := range map[*int]bool{&want.unstable: f.unstable, &want.quarantined: f.aside,
					&want.held: f.outcome == probes.OutcomeHeld, &want.blocked: f.outcome == probes.OutcomeBlocked} {
					if is {
						*n++
					}
				}
			}
			got := b.of(name).tally(now)
			if got.overdue < late.overdue || got.overdue > want.overdue || got.oldest < late.oldest ||
				got.oldest > want.oldest || got.fresh < want.fresh || got.fresh > late.fresh {
				t.Fatalf("%s: %+v, want %+v to %+v", name, got, late, want)
			}
			got.overdue, got.oldest, got.fresh = want.overdue, want.oldest, want.fresh
			if got != want {
				t.Fatalf("%s: %+v, want %+v", name, got, want)
			}
		}
		want, there := naive[key]
		want.fails = min(want.fails, 255)
		if got, ok := b.get(key); ok != there || ok && !cmp.Equal(got, want.known, cmp.AllowUnexported(known{})) {
			t.Fatalf("%s: %+v %v, want %+v %v", key, got, ok, want.known, there)
		}
		n := 0
		for k, v := range b.services(hostOf(key)) {
			if n++; naive[k].visited != v.visited || k.Addr != key.Addr {
				t.Fatalf("%s: %+v, want %+v", k, v, naive[k])
			}
		}
		for k := range naive {
			if k.Addr == key.Addr {
				n--
			}
		}
		if n != 0 || b.len() != len(naive) || b.has(hostOf(key)) != (len(b.hosts[hostOf(key).compact()]) > 0) {
			t.Fatalf("%d too many services of a host, %d in all", n, b.len())
		}
	}
}

// BenchmarkTallies looks at a million services.
func BenchmarkTallies(b *testing.B) {
	every := 24 * time.Hour
	book := newBook([]Watch{{Name: "a", VerifyEvery: every}})
	now := time.Unix(1e9, 0)
	for i := range 1_000_000 {
		key := event.Key{Zone: "z", Transport: probes.TCP, Port: uint16(1 + i%10),
			Addr: netip.AddrFrom4([4]byte{10, byte(i / 10 >> 16), byte(i / 10 >> 8), byte(i / 10)})}
		at := now.Add(-time.Duration(i) * (every / 900_000))
		book.put(key, &known{watch: "a", visited: at, verified: at, outcome: probes.OutcomeAnswered}, every, false)
	}
	for b.Loop() {
		if t := book.of("a").tally(now); t.overdue == 0 {
			b.Fatalf("%+v", t)
		}
	}
}
