//go:build !linux

package main

import "time"

// elapsed is the time since this program started. Whether it counts on while
// the machine sleeps is the system's choice.
func elapsed() time.Duration { return time.Since(begun) }

var begun = time.Now()
