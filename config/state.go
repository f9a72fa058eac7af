package config

import "time"

// State bounds what the inventory's file keeps, and when the disk is too full to
// go on.
type State struct {
	EventsFor   time.Duration // events that every output has are kept this long …
	EventsMost  int           // … and this many
	HistoryFor  time.Duration // what was told of each endpoint, this long …
	HistoryMost int           // … and this much of all
	GoneFor     time.Duration // what is gone, or no longer watched, is known this long
	MaxSize     int64         // bytes; over it, events and history leave early
	MinFree     int64         // bytes free on the file system; below, no visit begins
}

// Bounds of what is kept. An endpoint that was forgotten within a year would come
// back as new.
const (
	minKept     = 2 * day // a host that fell silent is left alone for a day, and events are the memory of that
	maxKept     = 3650 * day
	minGoneFor  = 365 * day
	maxRows     = 100_000_000
	minRows     = 1000
	minState    = 16 << 20
	maxState    = 1 << 40
	minHeadroom = 1 << 20
)

var stateTable = table[State]{
	"events_for":   duration(func(s *State) *time.Duration { return &s.EventsFor }, minKept, maxKept),
	"events_most":  number(func(s *State) *int { return &s.EventsMost }, minRows, maxRows),
	"history_for":  duration(func(s *State) *time.Duration { return &s.HistoryFor }, minKept, maxKept),
	"history_most": number(func(s *State) *int { return &s.HistoryMost }, minRows, maxRows),
	"gone_for":     duration(func(s *State) *time.Duration { return &s.GoneFor }, minGoneFor, maxKept),
	"max_size":     parsed(func(s *State) *int64 { return &s.MaxSize }, `"4GiB"`, size(minState, maxState)),
	"min_free":     parsed(func(s *State) *int64 { return &s.MinFree }, `"256MiB"`, size(minHeadroom, maxState)),
}

// defaultState keeps a month of events and a year of history. A store of 100,000
// services takes some 250 MiB.
func defaultState() State {
	return State{EventsFor: 30 * day, EventsMost: 100_000, HistoryFor: 400 * day, HistoryMost: 200_000,
		GoneFor: 400 * day, MaxSize: 4 << 30, MinFree: 256 << 20}
}
