package engine

import (
	"bytes"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestPoolShrinksAndGrows(t *testing.T) {
	var log bytes.Buffer
	p := newPool(Config{MaxSockets: 100, Log: slog.New(slog.NewTextHandler(&log, nil))})
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	take := func() (n int) {
		for p.acquire(now) {
			n++
		}
		return n
	}
	if n := take(); n != 100 {
		t.Fatalf("%d sockets of 100", n)
	}
	for range 60 {
		p.release()
	}
	// The 41st is refused: there is room for 40.
	if !p.acquire(now) {
		t.Fatal("no room for 41 of 100")
	}
	p.refused(shortOfFiles, syscall.EMFILE, now)
	if s := p.stats(); s.Capacity != 40 || s.Open != 40 || s.Files != 1 {
		t.Errorf("after a shortage at 40: %+v", s)
	}
	if n := take(); n != 0 {
		t.Errorf("%d sockets more at once", n)
	}
	now = now.Add(growEvery)
	if n := take(); n != 2 {
		t.Errorf("%d sockets more after %v, want 1 + 40/%d", n, growEvery, growPart)
	}
	for range 60 {
		now = now.Add(growEvery)
		take()
	}
	if s := p.stats(); s.Capacity != 100 || s.Open != 100 {
		t.Errorf("after a minute: %+v", s)
	}
	p.refused(shortOfPorts, syscall.EADDRNOTAVAIL, now)
	if s := p.stats(); s.Capacity != 100 || s.Ports != 1 {
		t.Errorf("source ports are one peer's matter: %+v", s)
	}
	p.refused(shortOfBuffers, syscall.ENOBUFS, now)
	if n := strings.Count(log.String(), "level=WARN"); n != 2 {
		t.Errorf("%d warnings, want one per episode:\n%s", n, &log)
	}
}

func TestPoolNeverShrinksToNothing(t *testing.T) {
	p := newPool(Config{MaxSockets: 10, Log: slog.New(slog.DiscardHandler)})
	if !p.acquire(time.Now()) {
		t.Fatal("no room for the first")
	}
	p.refused(shortOfFiles, syscall.EMFILE, time.Now())
	if s := p.stats(); s.Capacity != 1 || s.Open != 0 {
		t.Errorf("%+v", s)
	}
}

func TestSocketsWithin(t *testing.T) {
	for files, want := range map[uint64]int{
		0: 1, 4: 3, 256: 192, 1024: 768, 20000: 19744, 1 << 63: 1<<20 - fileReserve,
	} {
		if got := socketsWithin(files); got != want {
			t.Errorf("of %d files %d may be sockets, want %d", files, got, want)
		}
	}
}
