package probes

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"

	"sonde/probes/data"
)

// A Source is one probe file.
type Source struct {
	Name string // what positions call it
	Data []byte
}

// Builtin gives the probe files that are part of the program, in the order of
// their names, which is the order of their probes.
func Builtin() ([]Source, error) { return readAll(data.Probes(), "*.probes") }

// readAll reads the files that fit pattern; fs.Glob gives them sorted.
func readAll(fsys fs.FS, pattern string) ([]Source, error) {
	names, err := fs.Glob(fsys, pattern)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", pattern, err)
	}
	sources := make([]Source, 0, len(names))
	for _, name := range names {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		sources = append(sources, Source{Name: name, Data: text})
	}
	return sources, nil
}

// hashOf is the SHA-256 of the contents, each behind its length, in lower-case
// hex. Names do not count: the same lines are the same database.
func hashOf(sources []Source) string {
	h := sha256.New()
	for _, s := range sources {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s.Data))))
		h.Write(s.Data)
	}
	return hex.EncodeToString(h.Sum(nil))
}
