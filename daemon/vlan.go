package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// vlanOf gives the VLAN (IEEE 802.1Q) that an interface of this machine is in by
// its own configuration, 0 for none. Linux tells it in /proc/net/vlan; elsewhere
// there is no such file.
func vlanOf(name string) int {
	if name == "" || name != filepath.Base(name) {
		return 0
	}
	text, err := os.ReadFile("/proc/net/vlan/" + name)
	if err != nil {
		return 0
	}
	return parseVLAN(string(text))
}

// parseVLAN reads "eth0.10  VID: 10\t REORDER_HDR: 1 …".
func parseVLAN(text string) int {
	const most = 4094
	_, rest, found := strings.Cut(text, "VID:")
	fields := strings.Fields(rest)
	if !found || len(fields) == 0 {
		return 0
	}
	n, err := strconv.Atoi(fields[0])
	if err != nil || n < 1 || n > most {
		return 0
	}
	return n
}
