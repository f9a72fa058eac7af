package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// elapsed is the time since this machine started, sleep included, which Go's
// own reading of the clock leaves out.
func elapsed() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return time.Since(begun) // Linux has that clock since 2.6.39
	}
	return time.Duration(t.Nano())
}

var begun = time.Now()
