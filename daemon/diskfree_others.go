//go:build !linux && !darwin && !freebsd && !windows

package main

import "errors"

// diskFree is not known on this system.
func diskFree(string) (int64, error) { return 0, errors.ErrUnsupported }

// sameDisk is not known on this system.
func sameDisk(string, string) bool { return true }
