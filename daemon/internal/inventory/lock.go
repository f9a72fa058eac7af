package inventory

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sonde/daemon/internal/filelock"
)

// lockName is the file in the state directory whose lock makes its holder the
// only writer. It also holds the writer's process id, for the error message.
const lockName = "sonde.lock"

// A reader looks at the lock by taking it shared for an instant, so a writer
// tries for a little longer than an instant.
const (
	lockTries = 10
	lockPause = 20 * time.Millisecond
)

// lockDir makes this process the only writer of dir until the file is closed.
func lockDir(ctx context.Context, dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		taken, err := filelock.Try(f, true)
		if err != nil {
			return nil, closeAfter(f, err)
		}
		if taken {
			break
		}
		if try == lockTries {
			return nil, closeAfter(f, inUse(dir, f))
		}
		if err := pause(ctx, lockPause); err != nil {
			return nil, closeAfter(f, err)
		}
	}
	if err := f.Truncate(0); err != nil {
		return nil, closeAfter(f, err)
	}
	if _, err := f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0); err != nil {
		return nil, closeAfter(f, err)
	}
	return f, nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func closeAfter(f *os.File, err error) error {
	_ = f.Close()
	return err
}

func inUse(dir string, f *os.File) error {
	holder := "another sonde uses it"
	text := make([]byte, 20) // more than a process id has digits
	n, _ := f.ReadAt(text, 0)
	if pid := strings.TrimSpace(string(text[:n])); pid != "" {
		holder += " (pid " + cleanString(pid, maxWord) + ")"
	}
	return &OpenError{Path: dir, Err: fmt.Errorf("%w: %s", ErrInUse, holder), Remedy: remedyInUse}
}

// locked tells whether some process writes to dir. Where the lock cannot be
// looked at, nobody does, or nobody who could be asked.
func locked(dir string) bool {
	f, err := os.Open(filepath.Join(dir, lockName))
	if err != nil {
		return false
	}
	defer f.Close()
	taken, err := filelock.Try(f, false)
	return err == nil && !taken
}
