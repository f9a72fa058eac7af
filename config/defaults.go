package config

import (
	"cmp"
	_ "embed"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"sonde/probes/ports"
)

// Reference is the embedded reference.toml: every key with its unit, its
// default and the reason of that. It is a whole configuration, which watches
// loopback only.
//
//go:embed reference.toml
var Reference []byte

// ReferenceName is how mistakes and logs name the embedded file.
const ReferenceName = "reference.toml (built in)"

// Default gives what holds without any file. It touches loopback only. It
// panics if the embedded file is bad, which a test excludes.
func Default() *Config {
	c, err := Parse([]Source{{ReferenceName, Reference}}, nil)
	if err != nil {
		panic(err)
	}
	return c
}

// defaults gives the value of each key that no file sets.
func defaults() Config {
	return Config{
		Sensor:  Sensor{LogLevel: "info"},
		State:   defaultState(),
		Watches: []Watch{loopbackWatch()},
		Limits: Limits{
			PacketsPerSecond:            1000,
			HostPacketsPerSecond:        40,
			Connections:                 500,
			HostConnections:             2,
			HostNewConnectionsPerSecond: 1,
			ConnectTimeout:              time.Second,
			Tries:                       2,
			MaxProbes:                   12,
			MaxWait:                     12 * time.Second,
			MaxAnswer:                   16 << 10,
		},
		Discovery: Discovery{Method: Auto, SourcePorts: PortRange{61000, 61255}},
		Passive:   Passive{Enabled: true},
		Confirm:   defaultConfirm(),
		Database:  Database{Files: []string{Builtin}, Intensity: 7},
		Output:    defaultOutput(),
		Sent:      defaultSent(),
		Control:   Control{Enabled: true},
	}
}

// The default ports of a watch: where servers usually are, at a cost that a
// /24 pays within the hour.
const (
	defaultTCPPorts = "1-1024,top:200"
	defaultUDPPorts = "53,67,69,123,137,161,500,1900,5353,11211"
)

// newWatch gives the defaults of a [[watch]].
func newWatch() Watch {
	return Watch{
		Zone:          "default",
		ActiveHours:   Hours{Zone: "UTC"},
		TCPPorts:      mustPorts(ports.TCP, defaultTCPPorts),
		UDPPorts:      mustPorts(ports.UDP, defaultUDPPorts),
		DiscoverEvery: time.Hour,
		VerifyEvery:   15 * time.Minute,
		ReclimbEvery:  30 * day,
		Addresses:     Static,
		Hosts:         defaultHosts(),
		StartTLS:      true,
		SSHHostKey:    true,
		RPC:           "list",
	}
}

// loopbackWatch is the watch of a configuration without one.
func loopbackWatch() Watch {
	w := newWatch()
	w.Name = "loopback"
	for _, a := range []string{"127.0.0.1", "::1"} {
		ip := netip.MustParseAddr(a)
		w.Targets = append(w.Targets, Range{ip, ip})
	}
	w.TCPPorts = mustPorts(ports.TCP, "1-32767") // 32768 on: the kernel's own client ports
	w.DiscoverEvery = 10 * time.Minute
	w.VerifyEvery = 5 * time.Minute
	return w
}

// mustPorts reads a list that stands in this file.
func mustPorts(transport, s string) ports.Set {
	set, err := ports.ParseSet(transport, s)
	if err != nil {
		panic(fmt.Sprintf("default ports %q: %v", s, err))
	}
	return set
}

// Resolve fills in what depends on the machine: the sensor's name and state
// directory where the file leaves them open, the paths of the event file and
// the snapshot, which are relative to that directory, and where the sockets of
// control are: in runtimeDir, or where that is "" or the file names a state
// directory, in that. It is called once, before c is shared.
func (c *Config) Resolve(hostname, stateDir, runtimeDir string) {
	if c.Sensor.Name == "" {
		c.Sensor.Name = hostname
	}
	if c.Sensor.StateDir != "" || runtimeDir == "" {
		runtimeDir = cmp.Or(c.Sensor.StateDir, stateDir)
	}
	c.Control.Directory = cmp.Or(c.Control.Directory, runtimeDir)
	if c.Sensor.StateDir == "" {
		c.Sensor.StateDir = stateDir
	}
	for _, path := range []*string{&c.Output.JSON.Path, &c.Output.Inventory.Path} {
		if !filepath.IsAbs(*path) {
			*path = filepath.Join(c.Sensor.StateDir, *path)
		}
	}
}

// DefaultStateDir is the state directory of a service: what systemd made for
// it ($STATE_DIRECTORY, of several the first), else /var/lib/sonde.
func DefaultStateDir(getenv func(string) string) string {
	if dirs := filepath.SplitList(getenv("STATE_DIRECTORY")); len(dirs) > 0 && dirs[0] != "" {
		return dirs[0]
	}
	return "/var/lib/sonde"
}
