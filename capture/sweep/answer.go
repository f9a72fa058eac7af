package sweep

import (
	"net/netip"

	"sonde/capture"
	"sonde/capture/frame"
)

// An answer is what a packet says about one target, if its cookie is right.
type answer struct {
	addr   netip.Addr // the target, without a zone
	port   uint16
	proto  uint8 // of the target: frame.ProtoTCP or ProtoUDP
	offset int   // UDP: which datagram drew it
	kind   capture.Kind
	reason string
}

// A judge tells answers from what only looks like one. It is immutable.
type judge struct {
	secret secret
	ports  []uint16 // held, ascending
	place  []int32  // by port less the first: its place in ports, or -1
}

func newJudge(s secret, ports []uint16) judge {
	j := judge{secret: s, ports: ports, place: make([]int32, int(ports[len(ports)-1])-int(ports[0])+1)}
	for i := range j.place {
		j.place[i] = -1
	}
	for i, p := range ports {
		j.place[p-ports[0]] = int32(i)
	}
	return j
}

// source is the port that a target's SYN, or its first datagram, comes from.
func (j *judge) source(c cookie) uint16 { return j.ports[c.place(len(j.ports))] }

// sourceOf is the port that datagram number k comes from. Each has another,
// so that an answer tells which one drew it.
func (j *judge) sourceOf(c cookie, k int) uint16 {
	return j.ports[(c.place(len(j.ports))+k)%len(j.ports)]
}

// offset tells which datagram came from a port of ours; it is negative for a
// port that is not.
func (j *judge) offset(c cookie, port uint16) int {
	if port < j.ports[0] || int(port-j.ports[0]) >= len(j.place) {
		return -1
	}
	at := j.place[port-j.ports[0]]
	if at < 0 {
		return -1
	}
	return (int(at) - c.place(len(j.ports)) + len(j.ports)) % len(j.ports)
}

// judge reads a packet. It is false for what answers nothing that was sent, as
// far as the packet and our secret say.
func (j *judge) judge(p *frame.Packet) (a answer, ok bool) {
	if !p.Src.IsValid() || p.Src.IsMulticast() || p.Src.IsUnspecified() {
		return answer{}, false
	}
	switch p.Proto {
	case frame.ProtoTCP:
		return j.segment(p)
	case frame.ProtoUDP:
		c := j.secret.cookie(p.Src, p.SrcPort, frame.ProtoUDP)
		a = answer{addr: p.Src, port: p.SrcPort, proto: frame.ProtoUDP, kind: capture.Answered,
			reason: "udp-response", offset: j.offset(c, p.DstPort)}
		return a, a.offset >= 0
	case frame.ProtoICMP, frame.ProtoICMPv6:
		return j.complaint(p)
	}
	return answer{}, false
}

// elsewhere reads a datagram as the answer of a port that answers from another
// one: the cookie is that of the port whose form it has.
func (j *judge) elsewhere(p *frame.Packet) (a answer, ok bool) {
	if p.Proto != frame.ProtoUDP || !p.Src.IsValid() || p.Src.IsMulticast() || p.Src.IsUnspecified() {
		return answer{}, false
	}
	port, ok := capture.Elsewhere(p.Payload)
	if !ok || port == p.SrcPort {
		return answer{}, false
	}
	c := j.secret.cookie(p.Src, port, frame.ProtoUDP)
	a = answer{addr: p.Src, port: port, proto: frame.ProtoUDP, kind: capture.Answered,
		reason: "udp-response", offset: j.offset(c, p.DstPort)}
	return a, a.offset >= 0
}

// segment reads a TCP segment: a SYN-ACK, or a RST, that acknowledges our SYN.
func (j *judge) segment(p *frame.Packet) (answer, bool) {
	if p.Flags&frame.FlagACK == 0 || p.Fragment {
		return answer{}, false
	}
	a := answer{addr: p.Src, port: p.SrcPort, proto: frame.ProtoTCP}
	switch {
	case p.Flags&frame.FlagRST != 0:
		a.kind, a.reason = capture.Refused, "reset"
	case p.Flags&frame.FlagSYN != 0:
		a.kind, a.reason = capture.Accepted, "syn-ack"
	default:
		return answer{}, false
	}
	c := j.secret.cookie(p.Src, p.SrcPort, frame.ProtoTCP)
	return a, p.Ack == c.seq()+1 && p.DstPort == j.source(c)
}

// complaint reads an ICMP error about a packet of ours.
func (j *judge) complaint(p *frame.Packet) (answer, bool) {
	q := &p.Quoted
	if !q.Valid || p.Proto == frame.ProtoICMP != q.Dst.Is4() {
		return answer{}, false
	}
	a := answer{addr: q.Dst, port: q.DstPort, proto: q.Proto, kind: capture.Unreachable}
	if a.reason = complaintReason(p); a.reason == "" {
		return answer{}, false
	}
	c := j.secret.cookie(q.Dst, q.DstPort, q.Proto)
	switch q.Proto {
	case frame.ProtoTCP:
		return a, q.Seq == c.seq() && q.SrcPort == j.source(c)
	case frame.ProtoUDP:
		if a.reason == "port-unreach" && p.Src == q.Dst {
			a.kind = capture.Refused // only the target knows its ports
		}
		a.offset = j.offset(c, q.SrcPort)
		return a, a.offset >= 0
	}
	return answer{}, false
}

// complaintReason names an error: RFC 792 and RFC 1812 section 5.2.7, RFC 4443
// sections 3.1 and 3.3. What does not end a try has no name: a packet too big,
// a redirect, a bad parameter.
func complaintReason(p *frame.Packet) string {
	if p.Proto == frame.ProtoICMP {
		switch p.Type {
		case frame.ICMPUnreachable:
			return unreachable4(p.Code)
		case frame.ICMPTimeExceeded:
			return "time-exceeded"
		}
		return ""
	}
	switch p.Type {
	case frame.ICMPv6Unreachable:
		switch p.Code {
		case 0:
			return "net-unreach"
		case 1, 5, 6:
			return "admin-prohibited"
		case 2, 3:
			return "host-unreach"
		case 4:
			return "port-unreach"
		}
	case frame.ICMPv6TimeExceeded:
		return "time-exceeded"
	}
	return ""
}

func unreachable4(code uint8) string {
	switch code {
	case 0, 6, 11:
		return "net-unreach"
	case 1, 5, 7, 8, 12:
		return "host-unreach"
	case 2:
		return "proto-unreach"
	case 3:
		return "port-unreach"
	case 9, 10, 13:
		return "admin-prohibited"
	}
	return ""
}
