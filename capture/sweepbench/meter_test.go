//go:build bench && linux

package sweepbench

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"testing"
	"time"

	"sonde/capture/capturetest"
)

// A meter counts the packets that come in over an interface, by the kernel's
// own counter, and when.
type meter struct {
	file *os.File // /proc/net/dev of the namespace
	name []byte
	buf  [8192]byte
	quit chan struct{}
	done chan []sample // gets the samples when quit is closed
}

type sample struct {
	at      time.Time
	packets uint64
}

// meterPause is the meter's resolution. It costs nobody much, and is small
// beside runs of seconds.
const meterPause = 5 * time.Millisecond

// metered is the share of the packets whose time counts: what trickles in at a
// scanner's end, and what a kernel says on its own, leaves the rate alone.
const metered = 0.999

// startMeter begins to count.
func startMeter(t testing.TB, p capturetest.Port) *meter {
	t.Helper()
	m := &meter{name: []byte(p.Name + ":"), quit: make(chan struct{}), done: make(chan []sample, 1)}
	p.In.Do(t, func() (err error) {
		m.file, err = os.Open("/proc/thread-self/net/dev")
		return err
	})
	first, err := m.packets()
	if err != nil {
		t.Fatal(err)
	}
	go m.run(first)
	return m
}

func (m *meter) run(first uint64) {
	samples := []sample{{time.Now(), first}}
	tick := time.NewTicker(meterPause)
	defer tick.Stop()
	for {
		select {
		case <-m.quit:
			m.done <- samples
			return
		case <-tick.C:
		}
		if n, err := m.packets(); err == nil {
			samples = append(samples, sample{time.Now(), n})
		}
	}
}

func (m *meter) packets() (uint64, error) {
	n, err := m.file.ReadAt(m.buf[:], 0)
	if err != nil && err != io.EOF {
		return 0, err
	}
	_, rest, ok := bytes.Cut(m.buf[:n], m.name)
	if !ok {
		return 0, fmt.Errorf("no interface %s", m.name)
	}
	fields := bytes.Fields(rest) // bytes, packets, …
	return strconv.ParseUint(string(fields[1]), 10, 64)
}

// stop gives the packets since the start, and how long they took.
func (m *meter) stop(t testing.TB) (packets uint64, took time.Duration) {
	t.Helper()
	close(m.quit)
	samples := <-m.done
	m.file.Close()
	base := samples[0].packets
	packets = samples[len(samples)-1].packets - base
	if packets < 1000 {
		t.Fatalf("%d packets only", packets)
	}
	var from, to time.Time
	for i, s := range samples {
		if s.packets > base && from.IsZero() {
			from = samples[max(0, i-1)].at
		}
		if float64(s.packets-base) >= metered*float64(packets) {
			to = s.at
			break
		}
	}
	return packets, to.Sub(from)
}
