package config

import "time"

// Sent bounds the log of what this sensor sent.
type Sent struct {
	Enabled bool
	KeepFor time.Duration // what was sent is remembered this long …
	MaxSize int64         // bytes; … and as far as it fits into this
}

// Bounds of that log. A conversation takes some 150 bytes.
const (
	minSentFor  = time.Hour
	minSentSize = 1 << 20
)

var sentTable = table[Sent]{
	"enabled":  flag(func(s *Sent) *bool { return &s.Enabled }),
	"keep_for": duration(func(s *Sent) *time.Duration { return &s.KeepFor }, minSentFor, maxKept),
	"max_size": parsed(func(s *Sent) *int64 { return &s.MaxSize }, `"256MiB"`, size(minSentSize, maxState)),
}

func defaultSent() Sent { return Sent{Enabled: true, KeepFor: 30 * day, MaxSize: 256 << 20} }
