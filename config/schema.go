package config

import (
	"time"

	"sonde/probes/ports"
)

// The tables below are all keys that there are. A key stands here once it
// works, not before.

var rootTable = table[Config]{
	"sensor":      sub(func(c *Config) *Sensor { return &c.Sensor }, sensorTable),
	"state":       sub(func(c *Config) *State { return &c.State }, stateTable),
	"identity":    sub(func(c *Config) *Identity { return &c.Identity }, identityTable),
	"watch":       watches,
	"maintenance": maintenances,
	"limits":      sub(func(c *Config) *Limits { return &c.Limits }, limitsTable),
	"discovery":   sub(func(c *Config) *Discovery { return &c.Discovery }, discoveryTable),
	"passive":     sub(func(c *Config) *Passive { return &c.Passive }, passiveTable),
	"confirm":     sub(func(c *Config) *Confirm { return &c.Confirm }, confirmTable),
	"database":    sub(func(c *Config) *Database { return &c.Database }, databaseTable),
	"output":      sub(func(c *Config) *Output { return &c.Output }, outputTable),
	"sent":        sub(func(c *Config) *Sent { return &c.Sent }, sentTable),
	"control":     sub(func(c *Config) *Control { return &c.Control }, controlTable),
	"severity":    severities(func(c *Config) *Severities { return &c.Severity }),
}

var sensorTable = table[Sensor]{
	"name":      text(func(s *Sensor) *string { return &s.Name }, checkSensorName),
	"state_dir": text(func(s *Sensor) *string { return &s.StateDir }, checkAbsolute),
	"log_level": text(func(s *Sensor) *string { return &s.LogLevel }, oneOf("debug", "info", "warn", "error")),
}

var identityTable = table[Identity]{
	"contact":    text(func(i *Identity) *string { return &i.Contact }, checkContact),
	"user_agent": text(func(i *Identity) *string { return &i.UserAgent }, checkUserAgent),
	"ehlo_name":  text(func(i *Identity) *string { return &i.EHLOName }, checkEHLOName),
}

// Bounds of the promises. A second is the shortest that the scheduler can
// keep; a year is longer than anyone waits for news.
const (
	minEvery = time.Second
	maxEvery = 365 * day
)

var watchTable = table[Watch]{
	"name": text(func(w *Watch) *string { return &w.Name }, checkLabel),
	"zone": text(func(w *Watch) *string { return &w.Zone }, checkLabel),
	"interface": text(func(w *Watch) *string { return &w.Interface }, func(s string) error {
		if s == "" {
			return nil // whichever the routes say
		}
		return checkInterface(s)
	}),
	"targets":   strs(func(w *Watch) *[]Range { return &w.Targets }, `"192.0.2.0/24"`, ParseTarget),
	"exclude":   strs(func(w *Watch) *[]Range { return &w.Exclude }, `"192.0.2.7"`, ParseRange),
	"tcp_ports": parsed(func(w *Watch) *ports.Set { return &w.TCPPorts }, `"22,80-90"`, parsePorts(ports.TCP)),
	"udp_ports": parsed(func(w *Watch) *ports.Set { return &w.UDPPorts }, `"53,161"`, parsePorts(ports.UDP)),

	"discover_every": duration(func(w *Watch) *time.Duration { return &w.DiscoverEvery }, minEvery, maxEvery),
	"verify_every":   duration(func(w *Watch) *time.Duration { return &w.VerifyEvery }, minEvery, maxEvery),
	"gone_after":     duration(func(w *Watch) *time.Duration { return &w.GoneAfter }, 0, maxEvery),
	"reclimb_every":  duration(func(w *Watch) *time.Duration { return &w.ReclimbEvery }, 0, maxEvery),

	"active_hours": strs(func(w *Watch) *[]Span { return &w.ActiveHours.Spans }, `"Mon-Fri 19:00-07:00"`, parseWeekly),
	"time_zone":    text(func(w *Watch) *string { return &w.ActiveHours.Zone }, checkZone),

	"addresses": text(func(w *Watch) *string { return &w.Addresses }, oneOf(Static, Dynamic)),
	"severity":  severities(func(w *Watch) *Severities { return &w.Severity }),

	"names": strs(func(w *Watch) *[]Name { return &w.Names }, `"www.example.org"`, parseName),

	"hosts_every": duration(func(w *Watch) *time.Duration { return &w.Hosts.Every }, minHostsEvery, maxEvery),
	"hosts_most":  number(func(w *Watch) *int { return &w.Hosts.Most }, 1, maxHosts),
	"echo":        flag(func(w *Watch) *bool { return &w.Hosts.Echo }),
	"all_nodes":   text(func(w *Watch) *string { return &w.Hosts.AllNodes }, oneOf(Auto, Always, Never)),

	"starttls":        flag(func(w *Watch) *bool { return &w.StartTLS }),
	"ssh_host_key":    flag(func(w *Watch) *bool { return &w.SSHHostKey }),
	"rpc":             text(func(w *Watch) *string { return &w.RPC }, oneOf("list", "grind", "off")),
	"credentials":     flag(func(w *Watch) *bool { return &w.Credentials }),
	"held":            flag(func(w *Watch) *bool { return &w.Held }),
	"industrial":      flag(func(w *Watch) *bool { return &w.Industrial }),
	"best_effort":     flag(func(w *Watch) *bool { return &w.BestEffort }),
	"i_am_authorised": flag(func(w *Watch) *bool { return &w.IAmAuthorised }),
}

// Bounds of the limits: a value above them is a slip of the pen. 100,000
// packets/s is more than connects can make on one machine; 20,000 connections
// fit the local ports that the kernel gives out (28,232 by default).
const (
	maxPacketRate  = 100_000
	maxHostRate    = 10_000
	maxConnections = 20_000
	maxTries       = 10

	// One visit may overlap two probes on two connections.
	minHostConnections = 2

	// So that a quarter holds one visit.
	minConnections = 4 * minHostConnections

	minAnswer = 1 << 10  // a banner and the head of a web page
	maxAnswer = 64 << 10 // the longest whose matching time is promised
)

var limitsTable = table[Limits]{
	"packets_per_second":              number(func(l *Limits) *int { return &l.PacketsPerSecond }, 1, maxPacketRate),
	"host_packets_per_second":         number(func(l *Limits) *int { return &l.HostPacketsPerSecond }, 1, maxHostRate),
	"connections":                     number(func(l *Limits) *int { return &l.Connections }, minConnections, maxConnections),
	"host_connections":                number(func(l *Limits) *int { return &l.HostConnections }, minHostConnections, 1000),
	"host_new_connections_per_second": number(func(l *Limits) *int { return &l.HostNewConnectionsPerSecond }, 1, maxHostRate),
	"connect_timeout": duration(func(l *Limits) *time.Duration { return &l.ConnectTimeout },
		50*time.Millisecond, time.Minute),
	"tries": number(func(l *Limits) *int { return &l.Tries }, 1, maxTries),

	"max_probes": number(func(l *Limits) *int { return &l.MaxProbes }, 1, 1000),
	"max_wait":   duration(func(l *Limits) *time.Duration { return &l.MaxWait }, time.Second, 10*time.Minute),
	"max_answer": parsed(func(l *Limits) *int64 { return &l.MaxAnswer }, `"16KiB"`, size(minAnswer, maxAnswer)),
}

var discoveryTable = table[Discovery]{
	"method":       text(func(d *Discovery) *string { return &d.Method }, oneOf(Auto, SYN, Connect)),
	"source_ports": parsed(func(d *Discovery) *PortRange { return &d.SourcePorts }, `"61000-61255"`, parseSourcePorts),
}

var passiveTable = table[Passive]{
	"enabled":    flag(func(p *Passive) *bool { return &p.Enabled }),
	"interfaces": strs(func(p *Passive) *[]string { return &p.Interfaces }, `"eth1"`, parseInterface),
}

var databaseTable = table[Database]{
	"files":     strs(func(d *Database) *[]string { return &d.Files }, `"builtin"`, parseFile),
	"disable":   strs(func(d *Database) *[]string { return &d.Disable }, `"http-generic"`, parseLineID),
	"intensity": number(func(d *Database) *int { return &d.Intensity }, 0, 9),
}
