package frame

import (
	"encoding/binary"
	"net/netip"
)

// ipv4 reads an IPv4 header, RFC 791, and what follows it.
func (p *Packet) ipv4(b []byte) error {
	h, ok := ipv4Header(b)
	if !ok {
		return headerError(b, ipv4Len)
	}
	p.Src, p.Dst, p.Proto = h.src, h.dst, h.proto
	p.HopLimit, p.ID = b[8], binary.BigEndian.Uint16(b[4:])
	total := int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 {
		total = len(b) // segmentation left to the device: the frame is all there is
	}
	if total < h.len {
		return ErrMalformed
	}
	p.Truncated = total > len(b)
	p.Fragment = h.more || h.offset != 0
	b = b[h.len:min(total, len(b))] // Ethernet pads short frames
	if h.offset != 0 {
		p.Payload = b
		return nil
	}
	return p.transport(b)
}

// headerError is why b is not a header: too short for one, or else wrong.
func headerError(b []byte, least int) error {
	if len(b) < least || b[0]>>4 == 4 && len(b) < int(b[0]&15)*4 {
		return ErrTruncated
	}
	return ErrMalformed
}

// An ipHeader is what a packet and a quoted packet are both asked for.
type ipHeader struct {
	src, dst netip.Addr
	proto    uint8
	len      int // with options or extension headers
	offset   int // of the fragment, in units of 8 bytes
	more     bool
}

// ipv4Header reads an IPv4 header with its options, which must be there in
// full.
func ipv4Header(b []byte) (h ipHeader, ok bool) {
	if len(b) < ipv4Len || b[0]>>4 != 4 {
		return h, false
	}
	h.len = int(b[0]&15) * 4
	if h.len < ipv4Len || len(b) < h.len {
		return h, false
	}
	h.src = netip.AddrFrom4([4]byte(b[12:16]))
	h.dst = netip.AddrFrom4([4]byte(b[16:20]))
	h.proto = b[9]
	frag := binary.BigEndian.Uint16(b[6:])
	h.offset, h.more = int(frag&0x1fff), frag&0x2000 != 0
	return h, true
}

// ipv6 reads an IPv6 header, RFC 8200, its extension headers, and what follows.
func (p *Packet) ipv6(b []byte) error {
	if len(b) < ipv6Len {
		return ErrTruncated
	}
	if b[0]>>4 != 6 {
		return ErrMalformed
	}
	p.Src, p.Dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	p.HopLimit, p.Proto = b[7], b[6]
	total := ipv6Len + int(binary.BigEndian.Uint16(b[4:]))
	if total == ipv6Len {
		total = len(b) // a jumbogram, or segmentation left to the device
	}
	p.Truncated = total > len(b)
	b = b[:min(total, len(b))]
	h := ipHeader{proto: b[6], len: ipv6Len}
	err := h.extensions(b)
	p.Proto, p.Fragment = h.proto, h.more || h.offset != 0
	if err != nil {
		return err
	}
	b = b[h.len:]
	if h.offset != 0 {
		p.Payload = b
		return nil
	}
	return p.transport(b)
}

// ipv6Header reads the IPv6 header of a quoted packet.
func ipv6Header(b []byte) (h ipHeader, ok bool) {
	if len(b) < ipv6Len || b[0]>>4 != 6 {
		return h, false
	}
	h.src, h.dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	h.proto, h.len = b[6], ipv6Len
	return h, h.extensions(b) == nil
}

// Extension headers, RFC 8200 section 4 and RFC 4302.
const (
	extHopByHop = 0
	extRouting  = 43
	extFragment = 44
	extAuth     = 51
	extDest     = 60
)

// maxExtensions is how many extension headers are passed over: RFC 8200 section
// 4.1 orders six before the transport header, of which one may come twice. What
// has more is taken for malformed.
const maxExtensions = 7

// extensions moves h.len and h.proto over the extension headers of b. It stops
// behind the header of a later fragment: what follows that is data.
func (h *ipHeader) extensions(b []byte) error {
	for range maxExtensions {
		var n int
		switch h.proto {
		case extHopByHop, extRouting, extDest, extFragment, extAuth:
		default:
			return nil
		}
		ext := b[h.len:]
		if len(ext) < 8 {
			return ErrTruncated
		}
		switch h.proto {
		case extFragment:
			n = 8
			frag := binary.BigEndian.Uint16(ext[2:])
			h.offset, h.more = int(frag>>3), frag&1 != 0
		case extAuth:
			n = (int(ext[1]) + 2) * 4
		default:
			n = (int(ext[1]) + 1) * 8
		}
		if len(ext) < n {
			return ErrTruncated
		}
		h.len += n
		h.proto = ext[0]
		if h.offset != 0 {
			return nil
		}
	}
	return ErrMalformed
}
