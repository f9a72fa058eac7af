package main

import (
	"os"

	"golang.org/x/sys/unix"

	"sonde/daemon/internal/event"
)

// clockState says whether something keeps the system's clock in step, as the
// kernel was told by it (adjtimex(2), which needs no privilege to ask). Where
// asking is forbidden, as by ProtectClock= of systemd, only a clock that
// systemd-timesyncd has set is known to be right.
func clockState() event.Clock {
	var t unix.Timex
	switch state, err := unix.Adjtimex(&t); {
	case err != nil:
		if _, err := os.Stat("/run/systemd/timesync/synchronized"); err == nil {
			return event.Synced
		}
		return ""
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		return event.Unsynced
	}
	return event.Synced
}
