// Package loglimit keeps a log readable when something goes wrong a thousand
// times: of each message the first few of a window are written, the others are
// counted, and the count is written, at the latest when the window ends. No
// message disappears without being counted.
package loglimit

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// What is written of each message, told apart by level and text alone: its
// attributes, such as an address, do not make it another. The texts must be
// constants, as the linter demands: each takes memory while its window lasts.
const (
	// Burst of the same message pass in each Window.
	Burst  = 10
	Window = time.Minute
)

// Handler limits what reaches another slog.Handler. Debug records pass all:
// whoever switches them on wants them.
type Handler struct {
	inner  slog.Handler
	shared *shared
}

// shared is of a Handler and all that come from it by With.
type shared struct {
	root slog.Handler // writes the counts

	mu      sync.Mutex
	windows map[message]*window
	closed  bool
}

type message struct {
	level slog.Level
	text  string
}

type window struct {
	written, left int
	end           *time.Timer
}

// New limits what reaches inner.
func New(inner slog.Handler) *Handler {
	return &Handler{inner, &shared{root: inner, windows: map[message]*window{}}}
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(ctx context.Context, l slog.Level) bool { return h.inner.Enabled(ctx, l) }

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{h.inner.WithAttrs(attrs), h.shared}
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{h.inner.WithGroup(name), h.shared}
}

// Handle implements slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo && !h.shared.admit(message{r.Level, r.Message}) {
		return nil
	}
	return h.inner.Handle(ctx, r)
}

// admit says whether a message may be written.
func (s *shared) admit(m message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return true
	}
	w := s.windows[m]
	if w == nil {
		w = &window{}
		w.end = time.AfterFunc(Window, func() { s.over(m) })
		s.windows[m] = w
	}
	if w.written < Burst {
		w.written++
		return true
	}
	w.left++
	return false
}

// over ends a window. If something was left out, the next begins at once, so
// that a message that comes all the time is not written more often for it.
func (s *shared) over(m message) {
	s.mu.Lock()
	w := s.windows[m]
	if s.closed || w == nil {
		s.mu.Unlock()
		return
	}
	left := w.left
	if w.written, w.left = 0, 0; left == 0 {
		delete(s.windows, m)
	} else {
		w.end.Reset(Window)
	}
	s.mu.Unlock()
	s.count(m, left)
}

// count writes how many were left out.
func (s *shared) count(m message, left int) {
	if left == 0 {
		return
	}
	r := slog.NewRecord(time.Now(), m.level, m.text, 0)
	r.AddAttrs(slog.Int("more_of_these", left))
	_ = s.root.Handle(context.Background(), r) // a log that cannot be written has nowhere to say so
}

// Close writes the counts that are due. From then on all passes.
func (h *Handler) Close() {
	s := h.shared
	s.mu.Lock()
	s.closed = true
	all := s.windows
	s.windows = nil
	s.mu.Unlock()
	for m, w := range all {
		w.end.Stop()
		s.count(m, w.left)
	}
}
