package schedule

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestTurns(t *testing.T) {
	r := NewRhythm(7)
	for p := range 500 {
		k, every := id(p).Key, time.Duration(1+p)*7*time.Second
		usable := every - room(every)
		last := t0.Add(time.Duration(p) * time.Hour)
		due, _ := r.Turn(k, last, every) // brings it into step
		if wait := due.Sub(last); wait <= 0 || wait > usable {
			t.Fatalf("first turn after %v of %v", wait, every)
		}
		for range 100 {
			next, late := r.Turn(k, due, every)
			if share := float64(next.Sub(due)) / float64(usable); share < 0.888 || share > 1 {
				t.Fatalf("turn after %.3f of %v", share, usable)
			}
			if !late.After(next) || !late.Before(due.Add(every)) {
				t.Fatalf("due %v, pressing %v, promised %v", next, late, due.Add(every))
			}
			due = next
		}
	}
}

func TestRoom(t *testing.T) {
	for _, tt := range []struct {
		every, room time.Duration
		load        float64
	}{
		{time.Second, time.Second / 3, 1.59}, {5 * time.Minute, time.Minute, 1.32},
		{15 * time.Minute, 90 * time.Second, 1.18}, {24 * time.Hour, 144 * time.Minute, 1.18},
	} {
		if got := room(tt.every); got != tt.room.Truncate(1) {
			t.Errorf("%v leaves %v, want %v", tt.every, got, tt.room)
		}
		if got := Load(tt.every); got < tt.load-0.01 || got > tt.load+0.01 {
			t.Errorf("%v takes %.3f visits, want %.2f", tt.every, got, tt.load)
		}
	}
}

// TestTurnsAreEven: found all at once, asked out of turn or not, the turns lie
// evenly, for the same seed at the same times and for another at others.
func TestTurnsAreEven(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const n, buckets, cycles = 2000, 20, 10
	every, cycle := time.Hour, time.Hour*90/100*17/18
	from := t0.Add(5 * cycle)
	perBucket, moved := make([]int, buckets*cycles), 0
	for p := range n {
		k := idAt(p/100, p%100).Key
		due, _ := NewRhythm(1).Turn(k, t0, every)
		if again, _ := NewRhythm(1).Turn(k, t0, every); !again.Equal(due) {
			t.Fatal("the same seed gives another turn")
		}
		if other, _ := NewRhythm(2).Turn(k, t0, every); !other.Equal(due) {
			moved++
		}
		for range rng.IntN(4) { // out of turn
			due, _ = NewRhythm(1).Turn(k, due.Add(-time.Duration(rng.IntN(3000))*time.Second), every)
		}
		for due.Before(from.Add(cycles * cycle)) {
			if !due.Before(from) {
				perBucket[due.Sub(from)*buckets/cycle]++
			}
			due, _ = NewRhythm(1).Turn(k, due, every)
		}
	}
	for i, c := range perBucket {
		if c < n/buckets*60/100 || c > n/buckets*140/100 { // 4 times the deviation of chance
			t.Errorf("part %d of the cycle has %d turns, mean %d", i, c, n/buckets)
		}
	}
	if moved < n*99/100 {
		t.Errorf("another seed moves only %d of %d turns", moved, n)
	}
}

func TestClock(t *testing.T) {
	wall, elapsed := t0, 5*time.Hour
	pass := func(d time.Duration) { wall, elapsed = wall.Add(d), elapsed+d }
	c := NewClock(func() time.Time { return wall }, func() time.Duration { return elapsed })
	check := func(what string, got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	pass(time.Minute)
	took, set := c.Turn()
	check("took", took, time.Minute)
	check("set", set, time.Duration(0))
	check("now", c.Now(), at(60))

	wall = wall.Add(-time.Hour) // set back
	pass(time.Second)
	took, set = c.Turn()
	check("took", took, time.Second)
	check("set back", set, -time.Hour)
	check("now", c.Now(), at(61))
	check("stored before that", c.Ago(at(55)), at(61))
	check("stored long before that", c.Ago(at(-7200)), at(61-3600-61))
	check("never", c.Ago(time.Time{}), time.Time{})
	check("at", c.At(wall.Add(time.Minute)), at(121))
	check("wall at", c.WallAt(at(121)), wall.Add(time.Minute))

	wall = wall.Add(25 * time.Hour) // set ahead by a day
	took, set = c.Turn()
	check("took", took, time.Duration(0))
	check("set ahead", set, 25*time.Hour)
	check("now", c.Now(), at(61))

	pass(8 * time.Hour) // asleep: both go on
	took, set = c.Turn()
	check("took", took, 8*time.Hour)
	check("set", set, time.Duration(0))
}

func TestPromise(t *testing.T) {
	var p Promise
	for i, tt := range []struct {
		at     int
		broken bool
		want   Verdict
	}{
		{0, false, Same}, {10, true, Overdue}, {20, true, Same}, {30, false, Same}, {80, true, Same},
		{90, false, Same}, {140, false, Same}, {150, false, Recovered}, {160, false, Same},
		{170, true, Overdue}, {180, false, Same}, {240, false, Recovered},
	} {
		if got := p.Judge(at(tt.at), tt.broken, time.Minute); got != tt.want {
			t.Errorf("step %d: %d, want %d", i, got, tt.want)
		}
	}
}
