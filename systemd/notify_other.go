//go:build !linux

package systemd

import "time"

func send(string) error { return nil }

func monotonic() string { return "" }

func watchdog() (time.Duration, error) { return 0, nil }
