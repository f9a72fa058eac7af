package systemd

import (
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

func send(state string) error {
	_, err := daemon.SdNotify(false, state)
	return err
}

func monotonic() string { return daemon.SdNotifyMonotonicUsec() }

func watchdog() (time.Duration, error) { return daemon.SdWatchdogEnabled(false) }
