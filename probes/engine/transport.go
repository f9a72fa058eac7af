package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"
)

// A transport is one socket of Go's net. Its methods give bare errors.
type transport interface {
	read(b []byte) (int, netip.AddrPort, error)
	write(b []byte) error
	hurry(until time.Time) // ends reads and writes then
	close()
	local() netip.AddrPort
	readSize() int
}

// open opens what a Dial asks for.
func (n *Net) open(ctx context.Context, d *Dial) (transport, error) {
	if d.Interface != "" {
		return nil, fmt.Errorf("open %s socket on interface %s: %w", d.Network, d.Interface, errors.ErrUnsupported)
	}
	if d.Network == "udp" {
		return n.listen(ctx, d)
	}
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	dialer := n.Dialer
	if dialer == nil {
		own := &net.Dialer{KeepAlive: -1}
		if d.SourcePort != 0 {
			own.LocalAddr = &net.TCPAddr{Port: int(d.SourcePort)}
		}
		dialer = own
	} else if d.SourcePort != 0 {
		return nil, fmt.Errorf("connect from source port %d: %w", d.SourcePort, errors.ErrUnsupported)
	}
	c, err := dialer.DialContext(ctx, "tcp", d.Remote.String())
	switch {
	case err != nil && ctx.Err() == context.DeadlineExceeded:
		return nil, os.ErrDeadlineExceeded
	case err != nil:
		return nil, sourceError(d, bare(err))
	}
	return stream{c}, nil
}

// listen opens an unconnected UDP socket.
func (n *Net) listen(ctx context.Context, d *Dial) (transport, error) {
	packets := n.Packets
	if packets == nil {
		packets = &net.ListenConfig{}
	}
	network, any := "udp4", "0.0.0.0"
	if d.Remote.Addr().Is6() {
		network, any = "udp6", "::"
	}
	c, err := packets.ListenPacket(ctx, network, net.JoinHostPort(any, strconv.Itoa(int(d.SourcePort))))
	if err != nil {
		return nil, sourceError(d, bare(err))
	}
	return packet{c, net.UDPAddrFromAddrPort(d.Remote)}, nil
}

// sourceError names the source port that was asked for.
func sourceError(d *Dial, err error) error {
	if d.SourcePort == 0 {
		return err
	}
	return fmt.Errorf("open %s socket from source port %d: %w", d.Network, d.SourcePort, err)
}

// A stream is a TCP connection.
type stream struct{ net.Conn }

func (s stream) read(b []byte) (int, netip.AddrPort, error) {
	n, err := s.Read(b)
	return n, addrPort(s.RemoteAddr()), bare(err)
}

func (s stream) write(b []byte) error {
	_, err := s.Write(b)
	return bare(err)
}

func (s stream) hurry(until time.Time) { _ = s.SetDeadline(until) }
func (s stream) close()                { _ = s.Close() }
func (s stream) local() netip.AddrPort { return addrPort(s.LocalAddr()) }

// readSize of a stream is a page: each waiting connection owns one.
func (stream) readSize() int { return 4 << 10 }

// A packet is an unconnected UDP socket and whom it speaks to.
type packet struct {
	net.PacketConn
	to *net.UDPAddr
}

func (p packet) read(b []byte) (int, netip.AddrPort, error) {
	n, from, err := p.ReadFrom(b)
	if err != nil {
		return 0, netip.AddrPort{}, bare(err)
	}
	return n, addrPort(from), nil
}

func (p packet) write(b []byte) error {
	_, err := p.WriteTo(b, p.to)
	return bare(err)
}

func (p packet) hurry(until time.Time) { _ = p.SetDeadline(until) }
func (p packet) close()                { _ = p.Close() }
func (p packet) local() netip.AddrPort { return addrPort(p.LocalAddr()) }

// readSize of a packet holds the largest datagram.
func (packet) readSize() int { return 64 << 10 }

// addrPort gives an address of Go's net as netip has it.
func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case *net.UDPAddr:
		ap = a.AddrPort()
	case nil:
	default:
		ap, _ = netip.ParseAddrPort(a.String()) // none of ours, if it is none
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
