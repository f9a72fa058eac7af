package emit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/fault"
)

// fileMode is that of all events files: a shipper needs no more than the group.
const fileMode = 0o640

// JSONFileConfig says where the JSON lines go.
type JSONFileConfig struct {
	Path    string // ends in ".json"
	Format  Format // Sonde or ECS; "" means Sonde
	MaxSize int64  // bytes: the file is rotated before it grows over this
	Keep    int    // rotated files that are kept, the newest one plain
	Sensor  event.Sensor
	Now     func() time.Time
	Log     *slog.Logger
}

// JSONFile appends events to a file, one line each, every sequence number
// exactly once: what is on disk already after a crash is read from the file
// itself and not written again. The file is never shortened; a torn last line
// is ended and its event written again on a line of its own.
type JSONFile struct {
	cfg   JSONFileConfig
	f     *os.File
	size  int64
	torn  bool  // the last byte is not a line end
	mend  bool  // the last line is torn, and its event is to follow in this file
	epoch int64 // of the store
	last  int64 // highest sequence number in the file, of this epoch
}

// NewJSONFile opens or creates the file, so that a path that cannot be written
// is found out at start.
func NewJSONFile(cfg JSONFileConfig) (*JSONFile, error) {
	s := &JSONFile{cfg: cfg}
	if err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

// Name implements Sink.
func (s *JSONFile) Name() string { return "json" }

// Wants implements Sink: the JSON file has everything.
func (s *JSONFile) Wants(*event.Event) bool { return true }

// Close implements Sink.
func (s *JSONFile) Close() error {
	if s.f == nil {
		return nil
	}
	err := s.f.Close()
	s.f = nil
	return err
}

// Resume implements Sink: the last whole line of this file, or of the newest
// rotated one, tells what was written before a crash.
func (s *JSONFile) Resume(epoch, cursor int64) (int64, error) {
	s.epoch = epoch
	last, err := lastSeq(s.cfg.Path, epoch)
	if err != nil {
		return 0, err
	}
	if last == 0 {
		rotated, err := s.rotated()
		if err != nil {
			return 0, err
		}
		if len(rotated) > 0 {
			if last, err = lastSeq(rotated[len(rotated)-1], epoch); err != nil {
				return 0, err
			}
		}
	}
	s.last = max(last, cursor)
	if s.torn {
		if _, err := s.write([]byte{'\n'}); err != nil {
			return 0, fmt.Errorf("end torn line of %s: %w", s.cfg.Path, err)
		}
	}
	if s.size < headerMin { // its header was torn
		if err := s.writeHeader(); err != nil {
			return 0, err
		}
	}
	return s.last, s.tidy()
}

// Deliver implements Sink.
func (s *JSONFile) Deliver(_ context.Context, records []Record) (int, error) {
	if err := s.follow(); err != nil {
		return 0, err
	}
	for done := 0; done < len(records); {
		n, err := s.deliver(records[done:])
		if done += n; err != nil {
			return done, err
		}
	}
	return len(records), nil
}

// deliver writes as many of the records as the file has room for, and one at
// least, in a file of its own where it is needed. What was torn is written again
// beside it, even if that is over the size.
func (s *JSONFile) deliver(records []Record) (int, error) {
	buf, ends := s.lines(records)
	if !s.mend && s.size > headerMin && s.size+int64(ends[0]) > s.cfg.MaxSize {
		if err := s.rotate(); err != nil {
			return 0, err
		}
		buf, ends = s.lines(records)
	}
	fault.Point("json.write.before")
	n, err := s.write(buf)
	fault.Point("json.write.after")
	whole := 0
	for whole < len(ends) && ends[whole] <= n {
		s.last = max(s.last, records[whole].Event.Seq)
		whole++
	}
	if err != nil {
		return whole, fmt.Errorf("write %s: %w", s.cfg.Path, err)
	}
	s.mend = false
	if err := s.f.Sync(); err != nil {
		return 0, fmt.Errorf("sync %s: %w", s.cfg.Path, err)
	}
	fault.Point("json.sync.after")
	return len(ends), nil
}

// lines gives what is to be written of the first records, as many as fit but
// one at least, and where the line of each ends. One that the file has already
// has no line.
func (s *JSONFile) lines(records []Record) (buf []byte, ends []int) {
	if s.torn {
		buf = append(buf, '\n')
	}
	for i := range records {
		before := len(buf)
		if r := &records[i]; r.Event.Seq > s.last {
			buf = append(AppendLine(buf, s.cfg.Format, r), '\n')
		}
		if i > 0 && s.size+int64(len(buf)) > s.cfg.MaxSize {
			return buf[:before], ends
		}
		ends = append(ends, len(buf))
	}
	return buf, ends
}

// write appends p and keeps size and torn true, also after a short write.
func (s *JSONFile) write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if fault.Armed("json.write.short") {
		_, _ = s.f.Write(p[:len(p)/2])
		fault.Point("json.write.short")
	}
	n, err := s.f.Write(p)
	s.size += int64(n)
	if n > 0 {
		s.torn = p[n-1] != '\n'
		s.mend = s.mend || s.torn
	}
	return n, err
}

// open opens the file for appending, and begins a new one with a header.
func (s *JSONFile) open() error {
	f, err := os.OpenFile(s.cfg.Path, os.O_RDWR|os.O_APPEND|os.O_CREATE, fileMode)
	if err != nil {
		return fmt.Errorf("open events file: %w (is the directory there and writable? "+
			"see output.json.path)", err)
	}
	st, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("open events file: %w", err), f.Close())
	}
	s.f, s.size, s.torn, s.mend = f, st.Size(), false, false
	if s.size == 0 {
		// Whatever the umask says: shippers read by the group.
		if err := f.Chmod(fileMode); err != nil {
			return errors.Join(fmt.Errorf("open events file: %w", err), s.Close())
		}
		return s.writeHeader()
	}
	end := make([]byte, 1)
	if _, err := f.ReadAt(end, s.size-1); err != nil {
		return errors.Join(fmt.Errorf("read end of %s: %w", s.cfg.Path, err), s.Close())
	}
	s.torn = end[0] != '\n'
	s.mend = s.torn
	return nil
}

// follow reopens the path when the file was moved away or removed, and begins
// the file anew when it was cut: log rotation does the one or the other.
func (s *JSONFile) follow() error {
	if s.f != nil {
		here, err := os.Stat(s.cfg.Path)
		if err == nil {
			open, err := s.f.Stat()
			if err == nil && os.SameFile(here, open) {
				return s.followCut(open.Size())
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look at events file: %w", err)
		}
		s.cfg.Log.Info("events file was moved, opening a new one", "path", s.cfg.Path)
		if err := s.Close(); err != nil {
			s.cfg.Log.Warn("close moved events file", "err", err)
		}
	}
	return s.open()
}

// followCut takes a file that is shorter than it was as cut by somebody who has
// copied it. What it has begun with is gone; what was to be mended is in the copy.
func (s *JSONFile) followCut(size int64) error {
	if size >= s.size {
		return nil
	}
	s.cfg.Log.Warn("events file was cut short; let the sensor rotate it, or have it moved, "+
		"as lines that come between copying and cutting are lost", "path", s.cfg.Path)
	s.size, s.torn, s.mend = size, false, false
	if size > 0 {
		return nil
	}
	return s.writeHeader()
}

// Reopen implements Reopener: the file is closed, and what has its name now is
// opened, or made.
func (s *JSONFile) Reopen() error {
	if err := s.Close(); err != nil {
		s.cfg.Log.Warn("close events file", "err", err)
	}
	return s.open()
}

// rotate renames the file and begins a new one.
func (s *JSONFile) rotate() error {
	fault.Point("json.rotate.before")
	base := strings.TrimSuffix(s.cfg.Path, ".json")
	name := fmt.Sprintf("%s-%s-%012d.json", base,
		s.cfg.Now().UTC().Format("20060102T150405Z"), s.last)
	if err := os.Rename(s.cfg.Path, name); err != nil {
		return fmt.Errorf("rotate events file: %w", err)
	}
	fault.Point("json.rotate.renamed")
	if err := s.Close(); err != nil {
		s.cfg.Log.Warn("close rotated events file", "err", err)
	}
	if err := s.open(); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(s.cfg.Path)); err != nil {
		return err
	}
	fault.Point("json.rotate.opened")
	return s.tidy()
}
