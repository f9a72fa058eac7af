package engine

import "fmt"

// An ICMPError is why a TCP connect failed where not the peer's TCP said so,
// with a RST, but an ICMP message of the way or of a packet filter (RFC 792,
// RFC 4443). Only Linux tells the two apart.
type ICMPError struct {
	Err        error // the errno that the kernel makes of it
	Type, Code uint8 // of ICMP, or for an IPv6 peer of ICMPv6
}

// Error implements error.
func (e *ICMPError) Error() string {
	return fmt.Sprintf("ICMP type %d code %d: %v", e.Type, e.Code, e.Err)
}

// Unwrap gives the errno.
func (e *ICMPError) Unwrap() error { return e.Err }

// ICMP gives type and code.
func (e *ICMPError) ICMP() (kind, code uint8) { return e.Type, e.Code }
