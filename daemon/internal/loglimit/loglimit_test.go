package loglimit

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A lines is written to by whoever logs, and by timers.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// take gives what was written since the last time.
func (l *lines) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return strings.Split(strings.TrimSpace(l.b.String()), "\n")
}

// logs gives a limited logger, and what was written so far.
func logs() (*slog.Logger, *Handler, func() []string) {
	b := &lines{}
	h := New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
	return slog.New(h), h, b.take
}

// TestFlood: of a flood the first ones are written, and then how many more there
// were, each minute, until it ends; then all is as before.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, h, written := logs()
		defer h.Close()
		for i := range 100 {
			log.With("part", "x").Warn("trouble", "i", i)
		}
		log.Warn("other trouble")
		got := written()
		if len(got) != Burst+1 || got[0] != "level=WARN msg=trouble part=x i=0" || got[Burst] != `level=WARN msg="other trouble"` {
			t.Errorf("written %d: %q", len(got), got)
		}
		time.Sleep(Window)
		synctest.Wait()
		if diff := cmp.Diff([]string{"level=WARN msg=trouble more_of_these=90"}, written()); diff != "" {
			t.Error(diff)
		}
		for range 20 {
			log.Warn("trouble")
		}
		if got := written(); len(got) != Burst {
			t.Errorf("in the next window written %d", len(got))
		}
		time.Sleep(2 * Window)
		synctest.Wait()
		if diff := cmp.Diff([]string{"level=WARN msg=trouble more_of_these=10"}, written()); diff != "" {
			t.Error(diff)
		}
		log.Error("trouble") // of another level is another
		log.Warn("trouble")
		if diff := cmp.Diff([]string{"level=ERROR msg=trouble", "level=WARN msg=trouble"}, written()); diff != "" {
			t.Error(diff)
		}
	})
}

// TestClose: what was left out is counted at the end, and then all passes.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, h, written := logs()
		for range Burst + 3 {
			log.Info("busy")
		}
		written()
		h.Close()
		h.Close()
		log.Info("busy")
		if diff := cmp.Diff([]string{"level=INFO msg=busy more_of_these=3", "level=INFO msg=busy"}, written()); diff != "" {
			t.Error(diff)
		}
	})
}

// TestDebugPasses: whoever looks for something sees all of it.
func TestDebugPasses(t *testing.T) {
	log, h, written := logs()
	defer h.Close()
	for range 100 {
		log.WithGroup("g").Debug("detail", "a", 1)
	}
	if got := written(); len(got) != 100 || got[0] != "level=DEBUG msg=detail g.a=1" {
		t.Errorf("written %d: %q", len(got), got[0])
	}
}
