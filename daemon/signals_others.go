//go:build !unix

package main

import "os"

// reopenSignals are none: nothing of this system asks for it by a signal.
var reopenSignals []os.Signal
