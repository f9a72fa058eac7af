package passive

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// Limits of one mDNS message. A message of one Ethernet frame has at most 1,472
// bytes, and a record with an address at least 16.
const (
	mdnsPort = 5353

	// recordsMost is more than a frame can hold of records that matter:
	// 1,472 / 16 = 92 addresses. Beyond, the rest is left unread.
	recordsMost = 96
	// servicesMost bounds what one message can claim: 16 services, each at 4
	// addresses, are 64 sightings at most. The busiest announcers in the field
	// (a Mac, a NAS) have some ten.
	servicesMost = 16
	hostsMost    = 16
	addrsMost    = 4

	// nameLenMost is RFC 1035's limit of a name on the wire.
	nameLenMost = 255
)

// Record types and flags, RFC 1035 and RFC 6762.
const (
	dnsHeader    = 12
	dnsResponse  = 0x8000
	dnsOpcode    = 0x7800
	dnsRcode     = 0x000f
	dnsTypeA     = 1
	dnsTypeAAAA  = 28
	dnsTypeSRV   = 33
	dnsClassIN   = 1
	dnsClassMask = 0x7fff // above it is mDNS's cache-flush bit
	dnsFixed     = 10     // of a record after its name: type, class, TTL, length
	srvFixed     = 6      // of an SRV's data before the target
)

// An announcement is a service or, with an empty network, a host that an mDNS
// response claims.
type announcement struct {
	network string // "tcp", "udp", or "" for a host
	service string // "_ipp._tcp", or ""
	name    string // host name, or "" if it is none
	addr    netip.Addr
	port    uint16
}

// A wireName is a name in lower case, labels with their length bytes, without
// compression, so that two are compared as bytes.
type wireName struct {
	n int
	b [nameLenMost]byte
}

func (n *wireName) bytes() []byte { return n.b[:n.n] }

type srvRecord struct {
	owner, target wireName
	port          uint16
}

type hostRecord struct {
	name wireName
	addr netip.Addr
}

// An mdnsReader reads one message after the other in memory of its own, some
// 14 KiB. It belongs to one goroutine.
type mdnsReader struct {
	services [servicesMost]srvRecord
	hosts    [hostsMost]hostRecord
	srvs, as int
}

// read yields what the response b announces: each host with an address in it,
// and each service, at the addresses that b gives for its target, or else at
// from, which sent it. It is false for what is not a well-formed response;
// what stood before the mistake is not yielded either.
func (r *mdnsReader) read(b []byte, from netip.Addr, yield func(announcement)) bool {
	if !r.collect(b) {
		return false
	}
	for i := range r.hosts[:r.as] {
		h := &r.hosts[i]
		yield(announcement{addr: h.addr, name: h.name.text()})
	}
	for i := range r.services[:r.srvs] {
		s := &r.services[i]
		network, service := s.owner.serviceType()
		if network == "" || s.port == 0 {
			continue
		}
		a := announcement{network: network, service: service, name: s.target.text(), port: s.port}
		known := 0
		for j := range r.hosts[:r.as] {
			if h := &r.hosts[j]; bytes.Equal(h.name.bytes(), s.target.bytes()) && known < addrsMost {
				known++
				a.addr = h.addr
				yield(a)
			}
		}
		if known == 0 {
			a.addr = from
			yield(a)
		}
	}
	return true
}

// collect reads the records of a response into r.
func (r *mdnsReader) collect(b []byte) bool {
	r.srvs, r.as = 0, 0
	if len(b) < dnsHeader {
		return false
	}
	if flags := binary.BigEndian.Uint16(b[2:]); flags&(dnsResponse|dnsOpcode|dnsRcode) != dnsResponse {
		return false
	}
	questions := int(binary.BigEndian.Uint16(b[4:]))
	records := 0
	for i := 6; i < dnsHeader; i += 2 {
		records += int(binary.BigEndian.Uint16(b[i:]))
	}
	if questions > recordsMost {
		return false
	}
	at := dnsHeader
	var name wireName
	for range questions {
		end, ok := name.read(b, at)
		if !ok || len(b)-end < 4 {
			return false
		}
		at = end + 4
	}
	for range min(records, recordsMost) {
		end, ok := r.record(b, at)
		if !ok {
			return false
		}
		at = end
	}
	return true
}

// record reads the record at b[at:] and says where the next begins.
func (r *mdnsReader) record(b []byte, at int) (end int, ok bool) {
	var owner wireName
	at, ok = owner.read(b, at)
	if !ok || len(b)-at < dnsFixed {
		return 0, false
	}
	kind, class := binary.BigEndian.Uint16(b[at:]), binary.BigEndian.Uint16(b[at+2:])
	ttl, size := binary.BigEndian.Uint32(b[at+4:]), int(binary.BigEndian.Uint16(b[at+8:]))
	at += dnsFixed
	if len(b)-at < size {
		return 0, false
	}
	data := b[at : at+size]
	if class&dnsClassMask != dnsClassIN || ttl == 0 { // 0 says goodbye
		return at + size, true
	}
	switch {
	case kind == dnsTypeA && size == 4:
		r.host(&owner, netip.AddrFrom4([4]byte(data)))
	case kind == dnsTypeAAAA && size == 16:
		r.host(&owner, netip.AddrFrom16([16]byte(data)))
	case kind == dnsTypeSRV && size > srvFixed && r.srvs < servicesMost:
		s := &r.services[r.srvs]
		if _, ok := s.target.read(b, at+srvFixed); !ok {
			return 0, false
		}
		s.owner, s.port = owner, binary.BigEndian.Uint16(data[4:])
		r.srvs++
	}
	return at + size, true
}

func (r *mdnsReader) host(name *wireName, a netip.Addr) {
	if r.as < hostsMost {
		r.hosts[r.as] = hostRecord{*name, a.Unmap()}
		r.as++
	}
}

// read reads the name at b[at:] and says where what follows it begins. A
// pointer must lead to before the place where the last run of labels began, so
// that it ends.
func (n *wireName) read(b []byte, at int) (end int, ok bool) {
	n.n = 0
	limit := at // pointers must lead before it
	for at < len(b) {
		c := int(b[at])
		switch {
		case c == 0:
			if end == 0 {
				end = at + 1
			}
			return end, true
		case c < 0x40: // a label
			if len(b)-at <= c || n.n+1+c >= nameLenMost { // room for the root's byte
				return 0, false
			}
			n.b[n.n] = byte(c)
			for i, x := range b[at+1 : at+1+c] {
				n.b[n.n+1+i] = lower(x)
			}
			n.n += 1 + c
			at += 1 + c
		case c >= 0xc0: // a pointer
			if len(b)-at < 2 {
				return 0, false
			}
			to := c&0x3f<<8 | int(b[at+1])
			if to >= limit {
				return 0, false
			}
			if end == 0 {
				end = at + 2
			}
			at, limit = to, to
		default:
			return 0, false
		}
	}
	return 0, false
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// text gives the name with dots, or "" if it is not a host's name. A dot
// inside a label makes it none.
func (n *wireName) text() string {
	var out [nameLenMost]byte
	w := 0
	for i := 0; i < n.n; i += 1 + int(n.b[i]) {
		label := n.b[i+1 : i+1+int(n.b[i])]
		if bytes.IndexByte(label, '.') >= 0 {
			return ""
		}
		w += copy(out[w:], label)
		out[w] = '.'
		w++
	}
	return hostName(out[:w])
}

// serviceType finds the service in the name of an instance,
// "Office._ipp._tcp.local": the first label with an underscore that stands
// before _tcp or _udp (RFC 6763 section 7). The instance's own label comes
// first and may hold anything.
func (n *wireName) serviceType() (network, service string) {
	var before []byte
	for i := 0; i < n.n; i += 1 + int(n.b[i]) {
		label := n.b[i+1 : i+1+int(n.b[i])]
		if len(before) > 1 && before[0] == '_' {
			switch string(label) {
			case "_tcp":
				network = "tcp"
			case "_udp":
				network = "udp"
			}
			if network != "" {
				if service = hostName(before); service != "" {
					service += "." + string(label)
				}
				return network, service
			}
		}
		before = label
	}
	return "", ""
}
