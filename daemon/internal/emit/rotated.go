package emit

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sonde/daemon/internal/fault"
)

// tailSize is how much of a file's end is searched for its last event: twice
// the longest line, so that one whole line is in it even when the last one is
// torn, and a header besides.
const tailSize = 2*maxLine + 16<<10

// rotated lists the plain rotated files, oldest first.
func (s *JSONFile) rotated() ([]string, error) { return s.siblings(".json") }

// siblings lists the rotated files with the given ending, oldest first: their
// names hold a UTC time and a sequence number, and sort by them.
func (s *JSONFile) siblings(ending string) ([]string, error) {
	base := strings.TrimSuffix(s.cfg.Path, ".json") + "-"
	entries, err := os.ReadDir(filepath.Dir(s.cfg.Path))
	if err != nil {
		return nil, fmt.Errorf("list rotated events files: %w", err)
	}
	var names []string
	for _, e := range entries {
		name := filepath.Join(filepath.Dir(s.cfg.Path), e.Name())
		stamp, ok := strings.CutPrefix(name, filepath.Clean(base))
		if ok && strings.HasSuffix(stamp, ending) && isStamp(strings.TrimSuffix(stamp, ending)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// isStamp recognises what rotate puts into a name: "20060102T150405Z-000000000000".
func isStamp(s string) bool {
	const form = "dddddddd_dddddd_-dddddddddddd"
	if len(s) != len(form) {
		return false
	}
	for i := range len(s) {
		switch form[i] {
		case 'd':
			if s[i] < '0' || s[i] > '9' {
				return false
			}
		case '-':
			if s[i] != '-' {
				return false
			}
		}
	}
	return s[8] == 'T' && s[15] == 'Z'
}

// tidy compresses all rotated files but the newest and removes those beyond
// Keep. An interrupted run is finished by the next.
func (s *JSONFile) tidy() error {
	plain, err := s.rotated()
	if err != nil {
		return err
	}
	for _, name := range plain[:max(0, len(plain)-1)] {
		if err := compress(name); err != nil {
			return err
		}
	}
	packed, err := s.siblings(".json.gz")
	if err != nil {
		return err
	}
	keep := max(0, s.cfg.Keep-1) // the newest one is plain
	for _, name := range packed[:max(0, len(packed)-keep)] {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove old events file: %w", err)
		}
	}
	return nil
}

// compress replaces name by name.gz; at each instant one of them is whole.
func compress(name string) (err error) {
	in, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("compress events file: %w", err)
	}
	defer in.Close()
	tmp := name + ".gz.tmp"
	out, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return fmt.Errorf("compress events file: %w", err)
	}
	z := gzip.NewWriter(out)
	_, err = io.Copy(z, in)
	err = errors.Join(err, z.Close())
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return errors.Join(fmt.Errorf("compress %s: %w", name, err), os.Remove(tmp))
	}
	fault.Point("json.compress.written")
	if err := os.Rename(tmp, name+".gz"); err != nil {
		return fmt.Errorf("compress events file: %w", err)
	}
	if err := syncDir(filepath.Dir(name)); err != nil { // before the other is gone
		return err
	}
	fault.Point("json.compress.named")
	if err := os.Remove(name); err != nil {
		return fmt.Errorf("compress events file: %w", err)
	}
	fault.Point("json.compress.after")
	return syncDir(filepath.Dir(name))
}

// lastSeq finds the sequence number of the last whole event of a file that
// belongs to the epoch; 0 when there is none.
func lastSeq(path string, epoch int64) (int64, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read events file: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("read events file: %w", err)
	}
	from := max(0, st.Size()-tailSize)
	tail := make([]byte, st.Size()-from)
	if _, err := f.ReadAt(tail, from); err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("read events file: %w", err)
	}
	return lastSeqOf(tail, epoch), nil
}

// lastSeqOf is lastSeq over the end of a file. A last line that lacks only its
// line end counts: it will be ended, not written again.
func lastSeqOf(tail []byte, epoch int64) int64 {
	end := len(tail)
	for end >= 0 {
		start := bytes.LastIndexByte(tail[:end], '\n')
		if e, seq := seqOf(tail[start+1 : end]); seq > 0 && e == epoch {
			return seq
		}
		end = start
	}
	return 0
}

// seqOf reads epoch and sequence number of a line in any format; 0 where it is
// no event, or not whole.
func seqOf(line []byte) (epoch, seq int64) {
	var both struct {
		Epoch int64 `json:"epoch"`
		Seq   int64 `json:"seq"`
		Sonde struct {
			Epoch int64 `json:"epoch"`
			Seq   int64 `json:"seq"`
		} `json:"sonde"`
	}
	if json.Unmarshal(line, &both) != nil {
		return 0, 0
	}
	if both.Seq > 0 {
		return both.Epoch, both.Seq
	}
	return both.Sonde.Epoch, both.Sonde.Seq
}

// syncDir makes a rename in the directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}
