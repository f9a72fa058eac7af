package main

import (
	"fmt"
	"io"
	"os"

	"sonde/config"
	"sonde/probes"
)

// maxProbeFile bounds a probe file: nmap's own has 2.6 MB.
const maxProbeFile = 64 << 20

// A databaseChoice is which files make up a database.
type databaseChoice struct {
	files   []string // "builtin" for the one in the program; none: that one alone
	local   []string // their lines come before those of files
	disable []string // ids of lines that are left out
}

// chosenDatabase is that of a configuration, or that of the command line alone
// where it names files.
func chosenDatabase(cfg *config.Database, files []string) databaseChoice {
	if len(files) > 0 {
		return databaseChoice{files: files}
	}
	return databaseChoice{files: cfg.Files, local: cfg.Local, disable: cfg.Disable}
}

// sources reads the files. An id to be left out that no line has is an error.
func (d *databaseChoice) sources() ([]probes.Source, error) {
	var sources []probes.Source
	for _, name := range d.local {
		src, err := readProbeFile(name)
		if err != nil {
			return nil, err
		}
		src.Overlay = true
		sources = append(sources, src)
	}
	base, err := databaseSources(d.files)
	if err != nil {
		return nil, err
	}
	sources = append(sources, base...)
	if err := probes.UnknownIDs(d.disable, sources...); err != nil {
		return nil, fmt.Errorf("database.disable: %w", err)
	}
	return sources, nil
}

// load is as strict as loadDatabase.
func (d *databaseChoice) load() (*probes.Database, error) {
	sources, err := d.sources()
	if err != nil {
		return nil, err
	}
	if sources, err = probes.Complete(sources); err != nil {
		return nil, err
	}
	return d.loadFrom(sources)
}

// loadAsWritten leaves out what load adds to files of others.
func (d *databaseChoice) loadAsWritten() (*probes.Database, error) {
	sources, err := d.sources()
	if err != nil {
		return nil, err
	}
	return d.loadFrom(sources)
}

func (d *databaseChoice) loadFrom(sources []probes.Source) (*probes.Database, error) {
	db, err := probes.LoadWithout(d.disable, sources...)
	if err != nil {
		return nil, err // it names file, line and column
	}
	return db, nil
}

// loadDatabase loads the named probe files, "builtin" for the one in the
// program; without names that one alone. A file that cannot be read, or has
// mistakes, is an error; daemon.loadDatabase is more patient.
func loadDatabase(files []string) (*probes.Database, error) {
	return (&databaseChoice{files: files}).load()
}

// databaseSources reads the named probe files.
func databaseSources(files []string) ([]probes.Source, error) {
	if len(files) == 0 {
		files = []string{config.Builtin}
	}
	var sources []probes.Source
	for _, name := range files {
		if name == config.Builtin {
			own, err := probes.Builtin()
			if err != nil {
				return nil, fmt.Errorf("read built-in database: %w", err)
			}
			sources = append(sources, own...)
			continue
		}
		src, err := readProbeFile(name)
		if err != nil {
			return nil, err
		}
		sources = append(sources, src)
	}
	return sources, nil
}

func readProbeFile(name string) (probes.Source, error) {
	f, err := os.Open(name)
	if err != nil {
		return probes.Source{}, fmt.Errorf("probe file: %w; name a readable file, or %q for the program's own",
			err, config.Builtin)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxProbeFile+1))
	switch {
	case err != nil:
		return probes.Source{}, fmt.Errorf("probe file: %w; name a file", err)
	case len(data) > maxProbeFile:
		return probes.Source{}, fmt.Errorf("probe file %s: more than %d MiB; split it", name, maxProbeFile>>20)
	}
	return probes.Source{Name: name, Data: data}, nil
}
