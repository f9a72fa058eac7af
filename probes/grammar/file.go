// Package grammar reads and prints service-probe files in nmap's format.
//
// [Parse] understands the whole grammar and never stops at a mistake: it
// returns every good part of a file and, beside it, one [Error] with file,
// line, column and reason for each bad one. What was parsed and is printed
// with [File.AppendText] parses to the same File again, positions apart.
//
// # Meaning in comments
//
// nmap skips lines that begin with '#'. Five forms of them carry meaning
// here, so that files which nmap can load say more to us:
//
//	# id: NAME      the stable name of the match or softmatch line that follows
//	# outcome: blocked
//	                the match or softmatch line that follows says that the peer
//	                refuses us, not what it is
//	# needs: WHAT   the next Probe is only sent if WHAT is allowed; see [Needs]
//	# wait: null    the next Probe is only sent after the full wait for a greeting
//	# completes: S  the next Probe tells more of the services S than the lines of
//	                other databases can
//
// Other comment lines may stand between such a line and what it is about,
// nothing else. Every other comment is a comment.
package grammar

import (
	"time"

	"sonde/match"
	"sonde/probes/ports"
)

// The limits of the format. They are nmap's, so that a file which is good
// here is good there.
const (
	MaxLine      = 8191 // bytes of a line without its line feed
	MaxFallbacks = 17   // names in a fallback line
	MinRarity    = 1
	MaxRarity    = 9
	MinWait      = 100 * time.Millisecond // of totalwaitms and tcpwrappedms
	MaxWait      = 300 * time.Second
)

// outcomeBlocked is the one outcome that a line can stand for.
const outcomeBlocked = "blocked"

// A File is what one probe file says. Absent settings have their zero value;
// defaults are the business of the database.
type File struct {
	Name    string
	Exclude ports.List // ports that must never be probed
	Probes  []*Probe   // in the order of the file; names may repeat
}

// The protocols of a Probe line, as written there.
const (
	TCP = "TCP"
	UDP = "UDP"
)

// A Probe is one Probe line and the lines that follow it.
type Probe struct {
	Pos        match.Position // of the line
	Protocol   string         // TCP or UDP
	Name       string
	Payload    []byte // what is sent; empty: only listen (the NULL probe)
	NoPayload  bool   // flag no-payload: not for the discovery of ports
	SourcePort uint16 // flag source=N; 0: any

	Needs    Needs // "# needs:"
	WaitNull bool  // "# wait: null"

	Completes []string // "# completes:", names of services

	Ports      ports.Set     // ports
	TLSPorts   ports.Set     // sslports
	Rarity     int           // 1–9; 0: not given
	TotalWait  time.Duration // totalwaitms; 0: not given
	TCPWrapped time.Duration // tcpwrappedms; 0: not given
	Fallbacks  []Fallback    // in search order

	Rules []match.Rule // in search order
}

// A Fallback names a probe whose match lines are searched too.
type Fallback struct {
	Name string
	Pos  match.Position
}
