//go:build !linux

package main

import "sonde/daemon/internal/event"

// clockState says nothing: there is no common way to ask.
func clockState() event.Clock { return "" }
