// Package rpc asks SunRPC servers (ONC RPC, RFC 5531) which programs they
// serve, without a socket and without a clock: messages to send come out, what
// was received goes in, however the network cut it, and facts remain.
//
// No byte received can make it panic, hold more than [MaxRecord] bytes, or keep
// more than [MaxMappings] mappings; what exceeds a limit is reported. Every call
// has the empty credentials AUTH_NONE and asks for a null procedure or for the
// port mapper's list, so nothing is changed and nobody is logged in.
//
// A [Lister] asks a port mapper (RFC 1833) for its list. A [Grind] finds the
// program behind a port that the port mapper does not tell of. Each belongs to
// one conversation and to one goroutine at a time; the [Table] of names never
// changes and may be shared.
package rpc

import "fmt"

// The program numbers that this package itself speaks to.
const (
	// PortMapper is the program of portmap and rpcbind.
	PortMapper = 100000
)

// Limits of what is accepted.
const (
	// MaxRecord is how many bytes one message may have. 1,024 mappings of
	// rpcbind version 4 take 64 to 128 bytes each; the rest is room for long
	// names of sockets.
	MaxRecord = 256 << 10
	// MaxFragments is how many fragments one record may come in. Servers send
	// one, or cut at 4,000 to 9,000 bytes: 256 KiB / 4,000 = 66.
	MaxFragments = 128
	// MaxMappings is how many mappings of one list are read.
	MaxMappings = 1024
	// MaxString is how long a network id, an address and an owner may be. The
	// longest regular one is the path of a Unix socket, 108 bytes.
	MaxString = 255
	// maxVerifier is RFC 5531's own limit of an authentication body.
	maxVerifier = 400
)

// ImpossibleVersion is a version that no program has, and that is positive
// also for a server that takes it for signed.
const ImpossibleVersion = 1_999_999_999

// A Status is what a reply says of a call.
type Status uint8

// The ways in which a server replies.
const (
	// Success: the procedure ran; its results follow.
	Success Status = iota
	// ProgramUnavailable: the program is not served here.
	ProgramUnavailable
	// ProgramMismatch: the program is served, but not in this version.
	ProgramMismatch
	// ProcedureUnavailable: the program has no such procedure.
	ProcedureUnavailable
	// GarbageArguments: the server could not read the arguments.
	GarbageArguments
	// SystemError: the server has a problem of its own.
	SystemError
	// VersionDenied: the server speaks other versions of RPC itself.
	VersionDenied
	// AuthDenied: the server wants credentials.
	AuthDenied
)

var statusNames = [...]string{"success", "program unavailable", "program mismatch",
	"procedure unavailable", "garbage arguments", "system error", "RPC version denied",
	"authentication denied"}

// String implements fmt.Stringer.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}
