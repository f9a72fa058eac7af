package rpc

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// The procedures of the port mapper that are called (RFC 1833).
const (
	pmapVersion  = 2
	rpcbVersion3 = 3
	rpcbVersion4 = 4
	procDump     = 4 // PMAPPROC_DUMP and RPCBPROC_DUMP alike
)

// A Mapping is one entry of a port mapper's list: one version of a program on
// one transport.
type Mapping struct {
	Program, Version uint32
	// Network is the network id: "tcp", "udp", "tcp6", "udp6", "local" …, or
	// of a version 2 list "tcp", "udp" or the number of the protocol.
	Network string
	// Addr is where it listens. Of version 2 only the port is known.
	Addr netip.AddrPort
	// Path is the address of a network that has no ports, such as a socket.
	Path string
	// Owner is who registered it, from version 3 on.
	Owner string
}

// ErrTooManyMappings says that a list went on after MaxMappings.
var ErrTooManyMappings = fmt.Errorf("list of more than %d mappings", MaxMappings)

// ParsePortmap reads the results of PMAPPROC_DUMP. Beside an error it gives the
// mappings that came before it.
func ParsePortmap(results []byte) ([]Mapping, error) {
	return parseList(results, func(d *decoder) Mapping {
		m := Mapping{Program: d.uint32(), Version: d.uint32()}
		proto, port := d.uint32(), d.uint32()
		switch proto {
		case 6:
			m.Network = "tcp"
		case 17:
			m.Network = "udp"
		default:
			m.Network = strconv.FormatUint(uint64(proto), 10)
		}
		if port > 65535 {
			d.fail(fmt.Errorf("port %d", port))
		}
		m.Addr = netip.AddrPortFrom(netip.Addr{}, uint16(port))
		return m
	})
}

// ParseRpcbind reads the results of RPCBPROC_DUMP, version 3 or 4. Beside an
// error it gives the mappings that came before it. An address that cannot be
// read is no error of the list: the mapping keeps it as its path.
func ParseRpcbind(results []byte) ([]Mapping, error) {
	return parseList(results, func(d *decoder) Mapping {
		m := Mapping{Program: d.uint32(), Version: d.uint32()}
		m.Network = printable(d.opaque(MaxString))
		addr := d.opaque(MaxString)
		m.Owner = printable(d.opaque(MaxString))
		var err error
		if m.Addr, err = ParseUniversal(string(addr)); err != nil {
			m.Path = printable(addr)
		}
		return m
	})
}

// parseList reads a linked list of XDR: before each entry a flag that one
// follows.
func parseList(results []byte, entry func(*decoder) Mapping) ([]Mapping, error) {
	d := decoder{rest: results}
	var list []Mapping
	for d.flag() {
		if len(list) == MaxMappings {
			d.fail(ErrTooManyMappings)
			break
		}
		m := entry(&d)
		if d.err == nil {
			list = append(list, m)
		}
	}
	if d.err != nil {
		return list, fmt.Errorf("parse list of programs: %w", d.err)
	}
	return list, nil
}

var errUniversal = errors.New("not a universal address")

// ParseUniversal reads a universal address (RFC 5665, section 5.2.3): the
// text of an address of IPv4 or IPv6, and the port as two bytes in decimal,
// with dots between: "192.0.2.1.8.1" is port 2049.
func ParseUniversal(s string) (netip.AddrPort, error) {
	rest, low, ok1 := cutLast(s)
	host, high, ok2 := cutLast(rest)
	if !ok1 || !ok2 {
		return netip.AddrPort{}, errUniversal
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("universal address: %w", err)
	}
	return netip.AddrPortFrom(addr, uint16(high)<<8|uint16(low)), nil
}

// cutLast takes the number after the last dot off.
func cutLast(s string) (rest string, n uint64, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "", 0, false
	}
	n, err := strconv.ParseUint(s[i+1:], 10, 8)
	return s[:i], n, err == nil
}

// printable makes text of a peer safe to show: what is not printable ASCII
// becomes "?".
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, string(b))
}
