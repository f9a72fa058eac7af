//go:build unix

package main

import (
	"os"
	"syscall"
)

// reopenSignals make the daemon reopen its outputs, as log rotation wants it.
var reopenSignals = []os.Signal{syscall.SIGUSR1}
