package main

import (
	"math"
	"testing"
	"time"

	"sonde/capture"
)

func TestMeterMeasuresWhatAllSweepsHold(t *testing.T) {
	now, sent := time.Unix(0, 0), uint64(5_000_000_000)
	m := &meter{now: func() time.Time { return now }, sent: func() uint64 { return sent }}
	pass := func(seconds, packets int) {
		now, sent = now.Add(time.Duration(seconds)*time.Second), sent+uint64(packets)
	}
	want := func(what string, rate float64) {
		t.Helper()
		if got := m.rate(); got != rate {
			t.Errorf("%s: %v packets per second, want %v", what, got, rate)
		}
	}
	want("before any sweep", 0)
	m.begin()
	pass(10, 5_000)
	want("one", 500)
	m.begin()
	pass(10, 15_000)
	m.end()
	want("one of two has ended", 1000)
	m.end()
	pass(1000, 0)
	want("all have ended", 1000)
	m.begin() // they do not add up
	pass(10, 9_000)
	m.end()
	want("another", 900)
	m.begin()
	pass(10, 0)
	sent = 0
	m.end()
	want("closed in the middle", 0)
}

func TestCountersAreNotClipped(t *testing.T) {
	into := map[string]int{}
	countPackets(into, capture.Packets{Sent: 1 << 30})
	if into["sent"] != 1<<30 {
		t.Errorf("%d", into["sent"])
	}
	if math.MaxInt == math.MaxInt32 {
		t.Skip("an event has numbers of the machine's size")
	}
	countPackets(into, capture.Packets{Sent: 3 << 32, Received: 1<<53 - 1, Spoofed: 1<<53 + 7})
	if into["sent"] != 3<<32 || into["received"] != 1<<53-1 || into["spoofed"] != 7 {
		t.Errorf("%v", into)
	}
}
