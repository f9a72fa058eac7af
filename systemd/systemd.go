// Package systemd tells the service manager how the daemon is, by the
// protocol of sd_notify(3).
//
// Without a service manager, that is without $NOTIFY_SOCKET or on another system
// than Linux, every call does nothing and succeeds, so callers need not ask. Calls may come from any
// goroutine.
package systemd

import (
	"fmt"
	"strings"
	"time"
)

// Ready tells that the service has started, or has finished reloading.
func Ready() error { return notify("READY=1") }

// Reloading tells that the configuration is being read again. [Ready] must
// follow, whether or not the new one was accepted. It carries the monotonic
// time that units of Type=notify-reload need.
func Reloading() error {
	return notify(strings.TrimSuffix("RELOADING=1\n"+monotonic(), "\n"))
}

// Stopping tells that the service is on its way down.
func Stopping() error { return notify("STOPPING=1") }

// Status sets the line that `systemctl status` shows. Line breaks, which end
// a field of the protocol, and all other control characters become blanks.
func Status(line string) error {
	return notify("STATUS=" + strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, line))
}

// Alive feeds the watchdog. The loop that does the work calls it, so that a
// loop which hangs is noticed.
func Alive() error { return notify("WATCHDOG=1") }

// WatchdogInterval is how often Alive should be called: half of what the
// unit's WatchdogSec= allows, 0 without a watchdog for this process.
func WatchdogInterval() (time.Duration, error) {
	d, err := watchdog()
	if err != nil {
		return 0, fmt.Errorf("read the watchdog's interval: %w", err)
	}
	return d / 2, nil
}

func notify(state string) error {
	if err := send(state); err != nil {
		name, _, _ := strings.Cut(state, "=")
		return fmt.Errorf("notify the service manager %s: %w", name, err)
	}
	return nil
}
