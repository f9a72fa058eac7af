package passive

import (
	"encoding/binary"
	"net/netip"
)

// The layout of a DHCP message (RFC 2131 section 2) and the options that are
// read (RFC 2132, RFC 4702).
const (
	dhcpServerPort = 67
	dhcpClientPort = 68

	dhcpHardwareType = 1
	dhcpHardwareLen  = 2
	dhcpClientAddr   = 12
	dhcpYourAddr     = 16
	dhcpHardwareAddr = 28
	dhcpCookie       = 236
	dhcpOptions      = 240

	optPad          = 0
	optHostName     = 12
	optRequested    = 50
	optMessageType  = 53
	optVendorClass  = 60
	optFQDN         = 81
	optEnd          = 255
	dhcpRequest     = 3
	dhcpAck         = 5
	magicCookie     = 0x63825363
	hardwareIsEther = 1
	fqdnEncoded     = 0x04 // the name is in DNS's form, not in ASCII
	fqdnFixed       = 3    // flags and two result codes before the name
)

// A lease is what a DHCP client asked for or a server granted.
type lease struct {
	addr   netip.Addr
	mac    MAC
	name   string // host name of the client, "" if it gave none that is one
	vendor string // vendor class, option 60
}

// parseDHCP reads a REQUEST or an ACK. Other messages, and what is not a DHCP
// message of an Ethernet client, are not ok. It allocates for names only.
//
// Options that are overloaded into sname and file, and long options in several
// pieces, are not read: what is lost by it is a name.
func parseDHCP(b []byte) (l lease, ok bool) {
	if len(b) < dhcpOptions || binary.BigEndian.Uint32(b[dhcpCookie:]) != magicCookie ||
		b[dhcpHardwareType] != hardwareIsEther || b[dhcpHardwareLen] != byte(len(l.mac)) {
		return lease{}, false
	}
	copy(l.mac[:], b[dhcpHardwareAddr:])
	o := readOptions(b[dhcpOptions:])
	switch o.message {
	case dhcpRequest:
		l.addr = o.requested
		if !l.addr.IsValid() { // it renews what it has
			l.addr = addr4(b[dhcpClientAddr:])
		}
	case dhcpAck:
		l.addr = addr4(b[dhcpYourAddr:])
		if !l.addr.IsValid() { // it answers an INFORM
			l.addr = addr4(b[dhcpClientAddr:])
		}
	}
	l.name, l.vendor = o.name, o.vendor
	return l, l.addr.IsValid()
}

type dhcpOptionSet struct {
	message      byte
	requested    netip.Addr
	name, vendor string
}

// readOptions reads options up to the end or the first that is cut off. Of
// several of a kind the last counts.
func readOptions(b []byte) (o dhcpOptionSet) {
	for len(b) > 0 && b[0] != optEnd {
		if b[0] == optPad {
			b = b[1:]
			continue
		}
		if len(b) < 2 || len(b)-2 < int(b[1]) {
			return o
		}
		code, value := b[0], b[2:2+int(b[1])]
		b = b[2+len(value):]
		switch {
		case code == optMessageType && len(value) == 1:
			o.message = value[0]
		case code == optRequested && len(value) == 4:
			o.requested = addr4(value)
		case code == optHostName:
			o.name = hostName(value)
		case code == optVendorClass:
			o.vendor = printable(value)
		case code == optFQDN && len(value) > fqdnFixed && o.name == "" && value[0]&fqdnEncoded == 0:
			o.name = hostName(value[fqdnFixed:])
		}
	}
	return o
}

// addr4 gives the IPv4 address at the beginning of b, which has at least four
// bytes. It is not valid for 0.0.0.0, which says that there is none.
func addr4(b []byte) netip.Addr {
	a := netip.AddrFrom4([4]byte(b))
	if a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}
