package link

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// A carrier follows whether an interface can send and receive at all. A packet
// socket is told when its interface is set down, but not when the other end of
// the cable is pulled: what is sent then vanishes without an error.
type carrier struct {
	fd    int // a netlink socket that hears of all interfaces; -1 when closed
	index uint32
	lost  bool
}

// linkMessages holds the longest message about an interface: with virtual
// functions and statistics some 4 KiB each, and netlink's own batch of 32 KiB.
const linkMessages = 32 << 10

// Offsets in a message about an interface: struct nlmsghdr, struct ifinfomsg.
const (
	nlType       = 4
	nlFamily     = unix.SizeofNlMsghdr
	nlIndex      = unix.SizeofNlMsghdr + 4
	nlFlags      = unix.SizeofNlMsghdr + 8
	sizeofLinkMs = unix.SizeofNlMsghdr + unix.SizeofIfInfomsg
)

// newCarrier begins to follow an interface, as it is now.
func newCarrier(index int) (*carrier, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	c := &carrier{fd: fd, index: uint32(index)}
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK})
	if err == nil {
		err = c.ask()
	}
	if err == nil {
		_, err = c.read() // the kernel has answered before ask returned
	}
	if err != nil {
		c.close()
		return nil, fmt.Errorf("follow the carrier: %w", err)
	}
	return c, nil
}

// ask has the kernel tell how the interface stands.
func (c *carrier) ask() error {
	b := make([]byte, sizeofLinkMs)
	binary.NativeEndian.PutUint32(b, sizeofLinkMs)
	binary.NativeEndian.PutUint16(b[nlType:], unix.RTM_GETLINK)
	binary.NativeEndian.PutUint16(b[nlType+2:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(b[nlIndex:], c.index)
	return unix.Sendto(c.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// errNoCarrier says why an interface that is up counts as down.
var errNoCarrier = fmt.Errorf("%w: it has no carrier", ErrDown)

// read takes in what the kernel told. lost says that the interface was lost
// meanwhile, if only for a moment. What had no room in the socket may have been
// that.
func (c *carrier) read() (lost, err error) {
	b := make([]byte, linkMessages)
	for {
		n, from, err := unix.Recvfrom(c.fd, b, 0)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return lost, nil
		case errors.Is(err, unix.ENOBUFS):
			lost = fmt.Errorf("%w, perhaps: %w", ErrDown, err)
			if err := c.ask(); err != nil {
				return lost, err
			}
		case err != nil:
			return lost, err
		default:
			if k, ok := from.(*unix.SockaddrNetlink); ok && k.Pid == 0 { // not another program
				lost = cmp.Or(c.take(b[:n]), lost)
			}
		}
	}
}

// take reads messages, and gives ErrDown if the interface went away in one.
func (c *carrier) take(b []byte) (lost error) {
	for len(b) >= sizeofLinkMs {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return lost
		}
		kind := binary.NativeEndian.Uint16(b[nlType:])
		about := size >= sizeofLinkMs && b[nlFamily] == unix.AF_UNSPEC && // not a bridge on its port
			binary.NativeEndian.Uint32(b[nlIndex:]) == c.index
		if about && (kind == unix.RTM_NEWLINK || kind == unix.RTM_DELLINK) {
			flags := binary.NativeEndian.Uint32(b[nlFlags:])
			gone := kind == unix.RTM_DELLINK || flags&unix.IFF_UP == 0 || flags&unix.IFF_LOWER_UP == 0
			switch {
			case !gone || c.lost:
			case flags&unix.IFF_UP == 0:
				lost = ErrDown
			default:
				lost = errNoCarrier
			}
			c.lost = gone
		}
		b = b[min((size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1), len(b)):]
	}
	return lost
}

func (c *carrier) close() {
	if c.fd >= 0 {
		_ = unix.Close(c.fd)
		c.fd = -1
	}
}
