package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"sonde/config"
	"sonde/daemon/internal/inventory"
)

// roomFor says why size bytes may not be written below dir so that least stay
// free, nil if they may. Where it is not known what is free, they may.
func roomFor(dir string, size, least int64) error {
	free, err := diskFree(dir)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil
	case err != nil:
		return fmt.Errorf("free space of %s: %w", dir, err)
	case free-size < least:
		return fmt.Errorf("%d MiB are free in %s, too few for %d MiB beside the %d MiB of state.min_free",
			free>>20, dir, size>>20, least>>20)
	}
	return nil
}

// mostBelow gives what the files of the sensor may grow to, by directory.
func mostBelow(cfg *config.Config) map[string]int64 {
	most := map[string]int64{filepath.Clean(cfg.Sensor.StateDir): cfg.State.MaxSize + inventory.MaxLog + cfg.State.MinFree}
	if cfg.Sent.Enabled {
		most[filepath.Clean(cfg.Sensor.StateDir)] += cfg.Sent.MaxSize
	}
	if j := &cfg.Output.JSON; j.Enabled { // one is being compressed
		most[filepath.Dir(j.Path)] += j.MaxSize * int64(j.Keep+2)
	}
	if i := &cfg.Output.Inventory; i.Enabled { // it gives way to the others, see roomFor
		most[filepath.Dir(i.Path)] += 0
	}
	return most
}

// checkRoom says so when the files may grow to more than there is room for.
func (d *daemon) checkRoom(cfg *config.Config) {
	all := mostBelow(cfg)
	for dir, most := range all {
		for other, more := range all {
			if other == dir {
				continue
			}
			if sameDisk(dir, other) {
				most += more
			}
		}
		free, err := diskFree(dir)
		if err != nil {
			if !errors.Is(err, errors.ErrUnsupported) {
				d.log.Warn("free space not known", "dir", dir, "err", err)
			}
			continue
		}
		if free < most {
			d.log.Warn("the files of the sensor may grow to more than is free",
				"dir", dir, "free_mib", free>>20, "most_mib", most>>20)
		}
	}
}
