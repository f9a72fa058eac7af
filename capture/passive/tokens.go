package passive

import (
	"net/netip"
	"time"
)

// A bucket holds tokens: rate come in a second, and burst at most are kept.
type bucket struct {
	tokens float64
	at     time.Time
}

// fill adds what came since the last call. The first call fills it up.
func (b *bucket) fill(now time.Time, rate, burst float64) {
	if b.at.IsZero() {
		b.tokens = burst
	} else if d := now.Sub(b.at); d > 0 {
		b.tokens = min(burst, b.tokens+rate*d.Seconds())
	}
	b.at = now // also after the clock was set back
}

// A class is how much a sighting is worth: what is hard to forge does not wait
// for what is easy.
type class uint8

const (
	begun     class = iota // an answer whose request was seen
	bare                   // an answer, and no request
	announced              // a service that mDNS claims
	host                   // who lives where
	classes
)

// The rates of telling, per second. They bound what a flood can make the
// sensor do: some connections each, within its own budgets.
const (
	// begunShare, bareShare … are shares in percent of Config.PerSecond.
	begunShare     = 100
	bareShare      = 10
	announcedShare = 10
	hostShare      = 25
	sumShares      = begunShare + bareShare + announcedShare + hostShare

	// perSecond is the default of Config.PerSecond. 200 visits a second are
	// what the sensor's default of 1,000 packets/s allows at 4 to 5 packets.
	perSecond = 200

	// hostPerSecond and hostBurst bound what one host may cause in each class.
	// 64 at once: a server that comes back with all its services.
	hostPerSecond = 8
	hostBurst     = 64

	// hostBuckets is the size of the table of hosts that were told of lately:
	// sumShares × perSecond = 290 tokens/s, each of another host, for the
	// hostBurst/hostPerSecond = 8 s until a bucket is full and may be
	// forgotten, are 2,320; four times that, rounded down.
	hostBuckets = 1 << 13
)

var share = [classes]float64{begunShare, bareShare, announcedShare, hostShare}

// A rates decides which sightings may be told. Each class has a rate of its
// own, each host in it another, and half of the rate of a class is kept for
// hosts of which nothing was told in the last seconds: many ports of few hosts
// never stand in the way of a port of another host.
type rates struct {
	perSecond float64
	classes   [classes]struct{ common, quiet bucket }
	hosts     []hostBucket
	hash      hasher
}

type hostBucket struct {
	key    uint64
	bucket bucket
}

func newRates(perSecond int, h hasher) *rates {
	return &rates{perSecond: float64(perSecond), hosts: make([]hostBucket, hostBuckets), hash: h}
}

// take takes a token for one sighting of the host a, or says that there is
// none.
func (r *rates) take(c class, a netip.Addr, now time.Time) bool {
	rate := r.perSecond * share[c] / 100 / 2
	burst := max(1, rate) // a second's worth
	t := &r.classes[c]
	t.common.fill(now, rate, burst)
	t.quiet.fill(now, rate, burst)
	if t.common.tokens < 1 && t.quiet.tokens < 1 {
		return false // spares the look at the host in a flood
	}
	h := r.host(r.hash.bucket(c, a), now)
	from := &t.common
	if quiet := h.tokens > hostBurst-1; quiet && t.quiet.tokens >= 1 {
		from = &t.quiet
	}
	if from.tokens < 1 || h.tokens < 1 {
		return false
	}
	from.tokens--
	h.tokens--
	return true
}

// host finds the bucket of a host, or makes it in place of the one in its row
// that was used the longest ago.
func (r *rates) host(key uint64, now time.Time) *bucket {
	first := int(key) & (len(r.hosts) - 1) &^ (ways - 1)
	row := r.hosts[first : first+ways]
	oldest := &row[0]
	for i := range row {
		if row[i].key == key {
			row[i].bucket.fill(now, hostPerSecond, hostBurst)
			return &row[i].bucket
		}
		if row[i].bucket.at.Before(oldest.bucket.at) {
			oldest = &row[i]
		}
	}
	*oldest = hostBucket{key: key}
	oldest.bucket.fill(now, hostPerSecond, hostBurst)
	return &oldest.bucket
}

// slice is the time in which a frames spends its share at once. Within one a
// request and its answer are seen together.
const slice = 10 * time.Millisecond

// A frames bounds the frames that are looked at in a second, by looking at the
// first so many of each slice.
type frames struct {
	perSlice int
	begin    time.Time
	used     int
}

func newFrames(perSecond int) frames {
	return frames{perSlice: max(1, perSecond/int(time.Second/slice))}
}

// take says whether a frame that came at the time now may be looked at.
func (f *frames) take(now time.Time) bool {
	if d := now.Sub(f.begin); d < 0 || d >= slice {
		f.begin, f.used = now, 0
	}
	f.used++
	return f.used <= f.perSlice
}
