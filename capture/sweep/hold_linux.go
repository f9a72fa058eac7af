package sweep

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// A hold keeps source ports from everybody else on this machine, and the
// kernel from answering for them by ICMP: a TCP port that is bound and not
// listened on has SYN-ACKs answered by a RST, as ours will be; a UDP port whose
// socket takes nothing swallows all. So does a TCP port that is mute: it is
// listened on, and its filter drops what comes.
type hold struct {
	ports []uint16 // in ascending order
	fds   []int
}

// holdPorts takes those ports of the range that are free. It fails if none is.
func holdPorts(r Range, mute bool) (*hold, error) {
	h := &hold{}
	var last error
	for port := int(r.First); port <= int(r.Last); port++ {
		fds, err := holdPort(uint16(port), mute)
		if err != nil {
			last = err
			continue
		}
		h.ports, h.fds = append(h.ports, uint16(port)), append(h.fds, fds...)
	}
	if len(h.ports) == 0 {
		return nil, fmt.Errorf("hold source ports %d to %d: %w", r.First, r.Last, last)
	}
	return h, nil
}

// holdPort binds a port for TCP and UDP, of both versions of IP where this
// machine has both.
func holdPort(port uint16, mute bool) ([]int, error) {
	var fds []int
	for _, typ := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
		fd, err := bindWildcard(typ, port, mute)
		if err != nil {
			for _, fd := range fds {
				_ = unix.Close(fd)
			}
			return nil, err
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

// bindWildcard binds one socket for both versions of IP, or for IPv4 alone
// where IPv6 is switched off.
func bindWildcard(typ int, port uint16, mute bool) (int, error) {
	fd, err := unix.Socket(unix.AF_INET6, typ|unix.SOCK_CLOEXEC, 0)
	var sa unix.Sockaddr = &unix.SockaddrInet6{Port: int(port)}
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	} else {
		fd, err = unix.Socket(unix.AF_INET, typ|unix.SOCK_CLOEXEC, 0)
		sa = &unix.SockaddrInet4{Port: int(port)}
	}
	if err != nil {
		return -1, err
	}
	if typ == unix.SOCK_DGRAM || mute {
		err = errors.Join(err, deafen(fd))
	}
	err = errors.Join(err, unix.Bind(fd, sa))
	if err == nil && typ == unix.SOCK_STREAM && mute {
		err = unix.Listen(fd, 1) // one that does not listen is not asked what it takes
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// deafen lets a socket drop all that it gets, before it is bound.
func deafen(fd int) error {
	none := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: 1, Filter: &none[0]})
}

// close gives the ports back.
func (h *hold) close() {
	for _, fd := range h.fds {
		_ = unix.Close(fd)
	}
	h.fds = nil
}
