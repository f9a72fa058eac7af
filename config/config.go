// Package config reads what an operator wants of Sonde: TOML files become one
// checked [Config], or a list of every mistake in them.
//
// Reading is strict. An unknown key, a wrong type, a value out of range, a key
// set in two files: each is an [Error] with file, line, column and remedy, and
// all of them are told at once, so that one round of mending is enough. A
// Config that was read without error has only values that the rest of the
// program may use as they are.
//
// The package asks nothing of the machine but the files: no environment, no
// clock, no name service, no network. [Config.Resolve] takes the two facts
// that depend on the machine, host name and state directory.
//
// Which addresses may be touched is decided here and nowhere else:
// [Config.Allowed], [Config.WatchFor] and [Config.Scope].
package config

import (
	"fmt"
	"net/netip"
	"time"

	"sonde/probes/ports"
)

// Config is a whole configuration. It is not changed after it was read and
// resolved, so any number of goroutines may share it.
type Config struct {
	Sensor      Sensor
	State       State
	Identity    Identity
	Watches     []Watch
	Maintenance []Maintenance
	Limits      Limits
	Discovery   Discovery
	Passive     Passive
	Confirm     Confirm
	Database    Database
	Output      Output
	Sent        Sent
	Control     Control
	Expected    AcceptedState // of expected.d
	Severity    Severities    // for all watches

	// Excluded is the union of the exclude keys of all watches and of the
	// files in exclude.d. It holds in every zone.
	Excluded AddrSet
}

// Sensor is who is speaking, and where it keeps its state.
type Sensor struct {
	Name     string // "" until Resolve: the host name
	StateDir string // "" until Resolve: the state directory of the service
	LogLevel string // "debug", "info", "warn" or "error"
}

// Identity is what targets are told of who asks. Each value is printable ASCII
// and may be "", which tells nothing.
type Identity struct {
	Contact   string // mail address, for From of HTTP
	UserAgent string // User-Agent of HTTP
	EHLOName  string // host name or address literal, for EHLO of SMTP
}

// A Watch is a set of addresses and ports to be kept known.
type Watch struct {
	Name string
	Zone string
	// Interface is the one that everything of the watch leaves and comes by; ""
	// is whichever the routes say.
	Interface string

	Targets  []Range // as written; Config.Scope says what is really in scope
	Exclude  []Range
	TCPPorts ports.Set
	UDPPorts ports.Set

	DiscoverEvery time.Duration // each address and port is tried this often
	VerifyEvery   time.Duration // each known service is asked this often
	GoneAfter     time.Duration // 0: Confirm.GoneAfter
	ReclimbEvery  time.Duration // between two visits that ask as the first one did; 0: never
	Addresses     string        // Static or Dynamic
	Severity      Severities    // before Config.Severity

	// ActiveHours are when anything is sent. Without any it always may be.
	ActiveHours Hours

	Names []Name

	Hosts Hosts // how hosts are looked for

	StartTLS   bool   // read the certificates of services that begin in clear
	SSHHostKey bool   // read the host keys of SSH servers
	RPC        string // "list", "grind" or "off": what SunRPC servers are asked

	Credentials   bool // probes that guess a credential
	Held          bool // speak to print ports
	Industrial    bool // speak to industrial, BMC and UPS ports
	BestEffort    bool // the promises may be broken
	IAmAuthorised bool // large or public targets are meant
}

// The values of Watch.Addresses.
const (
	Static  = "static"  // an address stays with its machine
	Dynamic = "dynamic" // addresses are given out, as by DHCP
)

// A Name is one name that targets are asked by, in TLS and HTTP.
type Name struct {
	Name string
	Addr netip.Addr // the address it belongs to; the zero Addr means each
}

// MaxNames is how many names one address is asked by; the first ones count.
// Each is a handshake of its own at every visit.
const MaxNames = 8

// NamesOf gives the names that a is asked by, in the order of the file.
func (w *Watch) NamesOf(a netip.Addr) []string {
	var out []string
	for _, n := range w.Names {
		if (!n.Addr.IsValid() || n.Addr == a.Unmap()) && len(out) < MaxNames {
			out = append(out, n.Name)
		}
	}
	return out
}

// Limits bound what is sent, and so the harm that a mistake can do.
type Limits struct {
	PacketsPerSecond     int // of everything; not for loopback
	HostPacketsPerSecond int // to one address; not for loopback

	Connections                 int // open at once, of everything
	HostConnections             int // open at once to one address; not for loopback
	HostNewConnectionsPerSecond int // begun to one address by visits; not for loopback

	ConnectTimeout time.Duration // how long one try of discovery waits
	Tries          int           // how often silence is tried before it is believed

	MaxProbes int           // probes sent in one visit
	MaxWait   time.Duration // waiting for answers in one visit, in sum
	MaxAnswer int64         // bytes kept and matched of one answer
}

// DiscoveryConnections is the share of Connections for tries of discovery,
// ConversationConnections the rest, a quarter, for visits. The shares are
// fixed, so that a sweep of silent addresses never keeps known services from
// being verified.
func (l Limits) DiscoveryConnections() int { return l.Connections - l.ConversationConnections() }

// ConversationConnections is the share of Connections for visits.
func (l Limits) ConversationConnections() int { return l.Connections / 4 }

// Discovery is how open ports are found.
type Discovery struct {
	Method      string    // Auto, SYN or Connect
	SourcePorts PortRange // of packets of our own
}

// The values of Discovery.Method.
const (
	Auto    = "auto"    // SYN where it is permitted, else Connect
	SYN     = "syn"     // packets of our own, which needs CAP_NET_RAW
	Connect = "connect" // the kernel's sockets, as every program may
)

// A PortRange is ports from First to Last, both included.
type PortRange struct{ First, Last uint16 }

// String gives "61000-61255".
func (r PortRange) String() string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

// Passive is listening to what passes by.
type Passive struct {
	Enabled    bool
	Interfaces []string // nil: those that the targets are reached by
}

// Database chooses the probes and signatures.
type Database struct {
	Files     []string // paths; Builtin stands for the one in the program
	Local     []string // paths of probes.d/*.probes, whose lines come before those of Files
	Disable   []string // ids of lines that are left out
	Intensity int      // 0–9: probes up to this rarity are tried
}

// Builtin is the name of the program's own database in Database.Files.
const Builtin = "builtin"
