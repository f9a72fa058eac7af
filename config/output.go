package config

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Output is where events go.
type Output struct {
	HeartbeatEvery time.Duration // 0: none
	JSON           JSON
	Inventory      Inventory
	Syslog         []Syslog // one at least, which may be off
	Journal        Journal
}

// JSON is the file of events, one object per line.
type JSON struct {
	Enabled    bool
	Path       string // relative to Sensor.StateDir until Resolve
	Format     string // "sonde" or "ecs"
	MaxSize    int64  // bytes; rotated before it would grow over
	Keep       int    // rotated files kept
	MaxBacklog int    // events that may wait while the file cannot be written
}

// Inventory is the file that holds all known services, written anew at times.
type Inventory struct {
	Enabled bool
	Path    string // relative to Sensor.StateDir until Resolve
	Every   time.Duration
	MaxSize int64 // bytes; one that would be larger is not written
}

// Journal is systemd's journal, in its own protocol.
type Journal struct {
	Enabled    bool
	MaxBacklog int
}

// Bounds of the event file: under 64 KiB one event (16 KiB at most) in four
// would rotate it.
const (
	minFileSize = 64 << 10
	maxFileSize = 64 << 30
)

// Bounds of the backlog. Events of 1 KiB on average make ten million of them
// 10 GiB of state.
const (
	minBacklog = 100
	maxBacklog = 10_000_000
)

func defaultOutput() Output {
	const backlog = 100_000
	return Output{
		HeartbeatEvery: time.Hour,
		JSON: JSON{Enabled: true, Path: "events.json", Format: "sonde", MaxSize: 64 << 20, Keep: 5,
			MaxBacklog: backlog},
		Inventory: Inventory{Enabled: true, Path: "inventory.json", Every: 15 * time.Minute, MaxSize: 2 << 30},
		Syslog:    []Syslog{newSyslog()},
		Journal:   Journal{MaxBacklog: backlog},
	}
}

var outputTable = table[Output]{
	"heartbeat_every": duration(func(o *Output) *time.Duration { return &o.HeartbeatEvery }, 0, 30*day),
	"json":            sub(func(o *Output) *JSON { return &o.JSON }, jsonTable),
	"inventory":       sub(func(o *Output) *Inventory { return &o.Inventory }, inventoryTable),
	"syslog":          syslogs,
	"journal":         sub(func(o *Output) *Journal { return &o.Journal }, journalTable),
}

var jsonTable = table[JSON]{
	"enabled":     flag(func(j *JSON) *bool { return &j.Enabled }),
	"path":        text(func(j *JSON) *string { return &j.Path }, checkEventPath),
	"format":      text(func(j *JSON) *string { return &j.Format }, oneOf("sonde", "ecs")),
	"max_size":    parsed(func(j *JSON) *int64 { return &j.MaxSize }, `"64MiB"`, size(minFileSize, maxFileSize)),
	"keep":        number(func(j *JSON) *int { return &j.Keep }, 1, 1000),
	"max_backlog": number(func(j *JSON) *int { return &j.MaxBacklog }, minBacklog, maxBacklog),
}

var inventoryTable = table[Inventory]{
	"enabled":  flag(func(i *Inventory) *bool { return &i.Enabled }),
	"path":     text(func(i *Inventory) *string { return &i.Path }, checkFilled),
	"every":    duration(func(i *Inventory) *time.Duration { return &i.Every }, time.Second, day),
	"max_size": parsed(func(i *Inventory) *int64 { return &i.MaxSize }, `"2GiB"`, size(minFileSize, maxFileSize)),
}

var journalTable = table[Journal]{
	"enabled":     flag(func(j *Journal) *bool { return &j.Enabled }),
	"max_backlog": number(func(j *Journal) *int { return &j.MaxBacklog }, minBacklog, maxBacklog),
}

// checkEventPath wants the ending by which rotated files are told from packed
// ones.
func checkEventPath(s string) error {
	if err := checkFilled(s); err != nil {
		return err
	}
	if !strings.HasSuffix(s, ".json") {
		return fmt.Errorf(`%.80q does not end in ".json"; write a name like "events.json"`, s)
	}
	return nil
}

// A SyslogTarget is in the form of net.Dial: a local socket ("unixgram",
// "/dev/log") or a collector ("udp", "tcp" or "tls", "host:port").
type SyslogTarget struct{ Network, Address string }

// String gives the target as it is written in the file.
func (t SyslogTarget) String() string {
	if t.Network == "unixgram" {
		return t.Address
	}
	return t.Network + "://" + t.Address
}

// Host is the name or address of a collector, "" for a local socket.
func (t SyslogTarget) Host() string {
	host, _, err := net.SplitHostPort(t.Address)
	if err != nil {
		return ""
	}
	return host
}

func parseSyslogTarget(s string) (SyslogTarget, error) {
	if filepath.IsAbs(s) {
		return SyslogTarget{"unixgram", s}, nil
	}
	for _, network := range []string{"udp", "tcp", "tls"} {
		hostPort, ok := strings.CutPrefix(s, network+"://")
		if !ok {
			continue
		}
		host, port, err := net.SplitHostPort(hostPort)
		n, perr := strconv.ParseUint(port, 10, 16)
		if err == nil && perr == nil && host != "" && n > 0 {
			return SyslogTarget{network, hostPort}, nil
		}
	}
	return SyslogTarget{}, fmt.Errorf(`%.80q is no syslog target; write "/dev/log", "udp://host:514", `+
		`"tcp://host:601" or "tls://host:6514"`, s)
}
