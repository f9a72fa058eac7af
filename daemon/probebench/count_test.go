//go:build integration || lab || bench

package probebench

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"sonde/probes"
)

// countSpec says where the role count listens: the packets that leave the
// address Client by an interface, and the answers.
type countSpec struct {
	Interface string
	Client    netip.Addr
}

// A conversation is one connection or UDP socket as the wire showed it.
type conversation struct {
	Addr      netip.Addr // of the server
	Port      uint16
	Transport probes.Transport
	Syns      int      // SYN segments that are no repetition
	Out       int      // bytes of payload sent, without repetitions
	In        int      // the same received
	Flights   [][]byte // what was sent without an answer in between, each cut at maxFlight

	us     netip.AddrPort
	next   uint32 // sequence number that follows all that was sent
	nextIn uint32
	began  uint32 // of the last SYN
	known  bool   // next is valid
	turn   bool   // the peer has spoken since the last flight began
}

func (c *conversation) key() key { return key{c.Addr, c.Port, c.Transport} }

// maxFlight is what is kept of one flight: the records of a TLS client are
// shorter.
const maxFlight = 8 << 10

type countResult struct {
	Conversations []*conversation
	Lost          int // packets that the kernel could not hand over
}

// A counter sorts packets into conversations.
type counter struct {
	client netip.Addr
	all    []*conversation
	open   map[[2]netip.AddrPort]*conversation // by our and the server's port
}

// countRole counts what is on the wire, from packets, so that it depends on
// nothing that the program under test says.
func countRole(ctx context.Context, spec []byte, ready func(any)) (any, error) {
	var s countSpec
	if err := json.Unmarshal(spec, &s); err != nil {
		return nil, err
	}
	fd, err := packetSocket(s.Interface)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	c := &counter{client: s.Client, open: map[[2]netip.AddrPort]*conversation{}}
	ready(struct{}{})
	buf := make([]byte, 1<<17) // segments come before the kernel cuts them, up to 64 KiB
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		switch {
		case err == nil:
			c.packet(buf[:n])
		case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR):
			return nil, err
		case ctx.Err() != nil: // asked to end, and nothing is left to read
			lost, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
			if err != nil {
				return nil, err
			}
			return countResult{c.all, int(lost.Drops)}, nil
		}
	}
}

// packetSocket gives all IPv4 packets of an interface, without link headers.
func packetSocket(name string) (int, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0, err
	}
	protocol := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("packet socket: %w", err)
	}
	wait := unix.NsecToTimeval(int64(100 * time.Millisecond))
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: i.Index}))
	if err != nil {
		unix.Close(fd)
		return 0, fmt.Errorf("packet socket on %s: %w", name, err)
	}
	return fd, nil
}

// packet takes one IPv4 packet; others, and fragments, are none of ours.
func (c *counter) packet(b []byte) {
	if len(b) < 20 || b[0]>>4 != 4 {
		return
	}
	head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 { // longer than the field can say
		total = len(b)
	}
	if head < 20 || total < head || total > len(b) || binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
		return
	}
	from, to := netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	body := b[head:total]
	out := from == c.client
	if !out && to != c.client || len(body) < 8 {
		return
	}
	source, dest := binary.BigEndian.Uint16(body), binary.BigEndian.Uint16(body[2:])
	us, them := netip.AddrPortFrom(from, source), netip.AddrPortFrom(to, dest)
	if !out {
		us, them = them, us
	}
	switch b[9] {
	case unix.IPPROTO_TCP:
		c.segment(us, them, out, body)
	case unix.IPPROTO_UDP:
		c.datagram(us, them, out, body[8:])
	}
}

func (c *counter) at(us, them netip.AddrPort, t probes.Transport, fresh bool) *conversation {
	id := [2]netip.AddrPort{us, them}
	if c.open[id] == nil || fresh {
		c.open[id] = &conversation{Addr: them.Addr(), Port: them.Port(), Transport: t, us: us}
		c.all = append(c.all, c.open[id])
	}
	return c.open[id]
}

// datagram counts a UDP payload. Two sockets that get the same source port
// one after the other count as one. An answer from another port of the host
// belongs to the socket that it is for (TFTP, RFC 1350 section 4).
func (c *counter) datagram(us, them netip.AddrPort, out bool, payload []byte) {
	if out {
		c.at(us, them, probes.UDP, false).sent(payload, true)
		return
	}
	for _, v := range slices.Backward(c.all) {
		if v.us == us && v.Addr == them.Addr() && v.Transport == probes.UDP {
			v.In += len(payload)
			return
		}
	}
}

func (c *counter) segment(us, them netip.AddrPort, out bool, b []byte) {
	const fin, syn, rst, ack = 1, 2, 4, 16
	if len(b) < 20 {
		return
	}
	seq, flags, head := binary.BigEndian.Uint32(b[4:]), b[13], int(b[12]>>4)*4
	if head < 20 || head > len(b) {
		return
	}
	if flags&syn != 0 && flags&ack == 0 && out {
		old := c.open[[2]netip.AddrPort{us, them}]
		again := old != nil && old.Syns > 0 && old.began == seq
		v := c.at(us, them, probes.TCP, !again)
		if !again {
			v.Syns++
		}
		v.began, v.next, v.known = seq, seq+1, true
		return
	}
	v := c.open[[2]netip.AddrPort{us, them}]
	if v == nil || !v.known { // it began before we looked
		return
	}
	if flags&syn != 0 { // the server's
		v.nextIn = seq + 1
		return
	}
	payload := b[head:]
	if out {
		if skip := int(int32(v.next - seq)); skip >= 0 && skip < len(payload) {
			v.next += uint32(len(payload) - skip)
			v.sent(payload[skip:], v.turn || len(v.Flights) == 0)
		}
	} else if skip := int(int32(v.nextIn - seq)); skip >= 0 && skip < len(payload) {
		v.nextIn += uint32(len(payload) - skip)
		v.In += len(payload) - skip
		v.turn = true
	}
}

// sent adds payload to the last flight, or begins a new one.
func (c *conversation) sent(payload []byte, fresh bool) {
	c.Out += len(payload)
	if fresh {
		c.Flights = append(c.Flights, nil)
		c.turn = false
	}
	last := &c.Flights[len(c.Flights)-1]
	*last = append(*last, payload[:min(len(payload), maxFlight-min(maxFlight, len(*last)))]...)
}
