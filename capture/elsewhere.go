package capture

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// portTFTP is where requests go to. A transfer has a port of the server's own
// (RFC 1350 section 4), so that the answer comes from there.
const portTFTP = 69

// Elsewhere gives the UDP port that a datagram answers, though it came from
// another one of the same host. The form is all that tells; who takes it for an
// answer must have sent a request.
func Elsewhere(datagram []byte) (port uint16, ok bool) {
	if len(datagram) < 4 || datagram[0] != 0 {
		return 0, false
	}
	switch datagram[1] {
	case 3: // DATA: the first block has the number 1
		return portTFTP, datagram[2] == 0 && datagram[3] == 1
	case 5: // ERROR: a code up to 8 (RFC 2347), and a text that ends with zero
		return portTFTP, datagram[2] == 0 && datagram[3] <= 8 && datagram[len(datagram)-1] == 0
	case 6: // OACK (RFC 2347): names and values, each ends with zero
		return portTFTP, datagram[len(datagram)-1] == 0
	}
	return 0, false
}

// answersElsewhere says whether a port's answers come from another one.
func answersElsewhere(port uint16) bool { return port == portTFTP }

// elsewhere sends one payload from a socket that hears all ports of the target.
// It learns of no ICMP error: that has been tried before.
func (p *prober) elsewhere(ctx context.Context, to netip.AddrPort, payload []byte) (Reply, error) {
	network := "udp4"
	if to.Addr().Is6() && !to.Addr().Is4In6() {
		network = "udp6"
	}
	open := net.ListenConfig{Control: onInterface(p.Interface)}
	socket, err := open.ListenPacket(ctx, network, ":0")
	if err != nil {
		return p.classify(ctx, to, err, time.Now(), reasonPortUnreach)
	}
	conn := socket.(*net.UDPConn)
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(p.Timeout)); err != nil {
		return Reply{}, fmt.Errorf("set deadline for %s: %w", to, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if _, err := conn.WriteToUDPAddrPort(payload, to); err != nil {
		return p.classify(ctx, to, err, time.Now(), reasonPortUnreach)
	}
	for {
		n, from, err := conn.ReadFromUDPAddrPort(p.buffer())
		at := time.Now()
		if err != nil {
			return p.classify(ctx, to, err, at, reasonPortUnreach)
		}
		if _, ok := Elsewhere(p.buf[:n]); !ok || from.Addr().Unmap() != to.Addr().Unmap() {
			continue
		}
		return Reply{Kind: Answered, Reason: reasonAnswered, At: at,
			Payload: slices.Clone(p.buf[:n]), Sent: payload}, nil
	}
}
