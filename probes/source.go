package probes

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"

	"sonde/probes/data"
)

// A Source is one probe file.
type Source struct {
	Name string // what positions call it
	Data []byte

	// Overlay puts the rules of the file before those that other sources have
	// for the same probe. Its own probes are asked after theirs: who adds a
	// line does not mean to change what is asked first.
	Overlay bool

	// Own says that the file is part of the program.
	Own bool
}

// Builtin gives the probe files that are part of the program, in the order of
// their names, which is the order of their probes.
func Builtin() ([]Source, error) {
	sources, err := readAll(data.Probes(), "*.probes")
	for i := range sources {
		sources[i].Own = true
	}
	return sources, err
}

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
// hex. Names do not count: the same lines are the same database. What is an
// overlay and which rules are left out counts.
func hashOf(sources []Source, without []string) string {
	h := sha256.New()
	text := func(b []byte) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
	}
	for _, s := range sources {
		text(s.Data)
		if s.Overlay {
			h.Write([]byte("overlay"))
		}
	}
	for _, id := range slices.Sorted(slices.Values(without)) {
		text([]byte(id))
	}
	return hex.EncodeToString(h.Sum(nil))
}
