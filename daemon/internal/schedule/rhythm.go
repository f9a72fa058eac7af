package schedule

import (
	"encoding/binary"
	"hash/fnv"
	"time"

	"sonde/daemon/internal/event"
)

// The turns of a promise to ask each endpoint once in every. What is left of
// every after the latest turn is the room for a queue: a tenth, but at least a
// minute, in which a host with a few services of which each takes its whole
// waiting time comes round, and at most a third. Of the rest a turn comes each
// cycleShare, at a point of the cycle which the endpoint's key fixes, and up to
// jitterShare later, by chance. The wait is pressing when half of the room is
// used up.
const (
	roomShare   = 10
	minRoom     = time.Minute
	maxRoom     = 3
	cycleShare  = 17.0 / 18
	jitterShare = 1.0 / 18
)

// room is what a promise leaves for a queue.
func room(every time.Duration) time.Duration {
	return min(max(every/roomShare, minRoom), every/maxRoom)
}

// Load is how many visits a promise takes in truth for each that it needs at
// least: 1.18 of them from 10 minutes on, up to 1.59 below.
func Load(every time.Duration) float64 {
	return float64(every) / (cycleShare * float64(every-room(every)))
}

// A Rhythm spreads turns evenly: whenever and however often endpoints were
// asked out of turn, their next turns lie all over the cycle. The same seed
// gives the same turns, so that a sensor that starts again goes on in step. Who
// does not know the seed cannot foretell them.
type Rhythm struct{ seed [8]byte }

// NewRhythm returns the rhythm of a seed.
func NewRhythm(seed uint64) Rhythm {
	var r Rhythm
	binary.LittleEndian.PutUint64(r.seed[:], seed)
	return r
}

// Turn gives the first turn of an endpoint after it was last asked, and from
// when on it is pressing.
func (r Rhythm) Turn(k event.Key, last time.Time, every time.Duration) (due, late time.Time) {
	usable := every - room(every)
	cycle := max(1, int64(float64(usable)*cycleShare))
	jitter := max(1, int64(float64(usable)*jitterShare))
	of := r.hash(k)
	phase := int64(of % uint64(cycle))
	n := (last.UnixNano() - phase) / cycle
	for n--; ; n++ {
		at := phase + n*cycle + int64(mix(of^mix(uint64(n)))%uint64(jitter))
		if at > last.UnixNano() {
			return time.Unix(0, at).UTC(), last.Add(every - room(every)/2)
		}
	}
}

func (r Rhythm) hash(k event.Key) uint64 {
	h := fnv.New64a()
	a := k.Addr.As16()
	h.Write(r.seed[:])
	h.Write([]byte(k.Zone))
	h.Write(a[:])
	h.Write([]byte(k.Transport))
	h.Write(binary.BigEndian.AppendUint16(nil, k.Port))
	return mix(h.Sum64())
}

// mix is the finisher of splitmix64, whose every bit depends on every other.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
