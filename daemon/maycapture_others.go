//go:build !linux

package main

import "sonde/capture/link"

// mayCapture says whether this process may open packet sockets, which only
// Linux has.
func mayCapture() error { return link.ErrUnsupported }
