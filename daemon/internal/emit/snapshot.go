package emit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"sonde/daemon/internal/event"
)

// snapshotShare keeps writing snapshots below a hundredth of the time: a
// million services take some seconds to write.
const snapshotShare = 100

// A Snapshot keeps a file that holds all known services in one JSON object. The
// file is replaced as a whole: a reader sees the old one or the new one, also
// after a crash or with a full disk.
type Snapshot struct {
	Path   string
	Every  time.Duration
	Sensor event.Sensor
	Epoch  int64

	// LastSeq gives the number of the last event; all that it tells is in what
	// Services gives afterwards.
	LastSeq func(context.Context) (int64, error)
	// Services gives what becomes a JSON object each, and at last an error if
	// reading failed midway.
	Services func(context.Context) iter.Seq2[any, error]

	MaxSize int64        // bytes; one that would be larger is not written; 0: any
	Room    func() error // says why nothing may be written now; nil: it may

	Now   func() time.Time
	After <-chan struct{} // closed when the first one may be written; nil: at once
	Log   *slog.Logger
}

// Name implements task.Task.
func (s *Snapshot) Name() string { return "snapshot" }

// Run writes the file when After lets it and then every Every, until ctx ends.
// That it cannot be written is logged: there is always a next time.
func (s *Snapshot) Run(ctx context.Context, ready func()) error {
	ready()
	if s.After != nil {
		select {
		case <-s.After:
		case <-ctx.Done():
			return nil
		}
	}
	for {
		began := time.Now()
		if err := s.Write(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("inventory snapshot not written, the old one stays", "path", s.Path, "err", err)
		}
		t := time.NewTimer(max(s.Every, snapshotShare*time.Since(began)))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
	}
}

// Write replaces the file.
func (s *Snapshot) Write(ctx context.Context) (err error) {
	tmp := s.Path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	err = errors.Join(f.Chmod(fileMode), s.encode(ctx, &bounded{to: f, most: s.MaxSize, room: s.Room}))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write snapshot: %w", err), os.Remove(tmp))
	}
	if err := os.Rename(tmp, s.Path); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return syncDir(filepath.Dir(s.Path))
}

// encode writes the object, one service a line, so that it can be read with a
// line reader too.
func (s *Snapshot) encode(ctx context.Context, w io.Writer) error {
	seq, err := s.LastSeq(ctx)
	if err != nil {
		return err
	}
	head, err := encode(struct {
		Schema    string       `json:"schema"`
		Timestamp time.Time    `json:"@timestamp"`
		Sensor    event.Sensor `json:"sensor"`
		Epoch     int64        `json:"epoch"`
		Seq       int64        `json:"seq"`
	}{event.Schema, s.Now().UTC(), s.Sensor, s.Epoch, seq})
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	out.Write(head[:len(head)-1]) // without its brace
	out.WriteString(`,"services":[`)
	n := 0
	for service, err := range s.Services(ctx) {
		if err != nil {
			return err
		}
		line, err := encode(service)
		if err != nil {
			return err
		}
		if n++; n > 1 {
			out.WriteByte(',')
		}
		out.WriteByte('\n')
		out.Write(appendJSONLine(nil, line))
	}
	fmt.Fprintf(out, "\n],\"count\":%d}\n", n)
	return out.Flush()
}
