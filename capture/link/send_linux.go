package link

import (
	"errors"
	"net"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// batchMost is how many frames go with one system call: enough to make the
	// call's own cost small, and one eighth of what the kernel takes.
	batchMost = 128

	// Send waits for room busyMost times busyWait, a tenth of a second, before
	// it gives up.
	busyWait = 1 // milliseconds
	busyMost = 100
)

// A message is struct mmsghdr.
type message struct {
	header unix.Msghdr
	n      uint32
}

// A sender is the socket that frames leave by.
type sender interface {
	// prepare says which socket the first of the frames leaves by, and fills in
	// messages for it and for those that follow it on the same one.
	prepare(frames [][]byte) (fd int, batch []message)
	close()
}

// Send sends the frames in order and gives how many of them are done with: they
// were sent, or the kernel refused them one by one (a firewall's rule, a
// destination without a route), which Counters tells. If it is fewer than all
// the error says why: [ErrBusy], [ErrDown], [net.ErrClosed]. The frames are not
// kept.
func (s *Socket) Send(frames [][]byte) (done int, err error) {
	l := s.lane()
	defer l.sending.Unlock()
	for waits := 0; done < len(frames); {
		if s.closed.Load() {
			return done, net.ErrClosed
		}
		if s.cut.Load() {
			return done, s.fault("send", unix.ENETDOWN) // the kernel would take it, and lose it
		}
		fd, batch := l.out.prepare(frames[done:min(len(frames), done+batchMost)])
		if fd < 0 {
			s.refused.Add(1)
			done++
			continue
		}
		n, errno := sendmmsg(fd, batch)
		if n > 0 {
			s.sent.Add(uint64(n))
			done += n
			waits = 0
			continue
		}
		switch {
		case errors.Is(errno, unix.EINTR):
		case errors.Is(errno, unix.ENOBUFS), errors.Is(errno, unix.EAGAIN):
			s.busy.Add(1)
			if waits++; waits > busyMost {
				return done, s.fault("send", ErrBusy)
			}
			s.room(fd, errno)
		case refusal(errno):
			s.refused.Add(1)
			done++
		default:
			return done, s.fault("send", errno)
		}
	}
	return done, nil
}

// lane locks a lane: a free one, if there is one.
func (s *Socket) lane() *lane {
	for _, l := range s.lanes {
		if l.sending.TryLock() {
			return l
		}
	}
	l := s.lanes[0]
	l.sending.Lock()
	return l
}

// refusal says whether the kernel did not want this one frame, rather than any.
func refusal(errno error) bool {
	for _, e := range []unix.Errno{unix.EPERM, unix.EACCES, unix.EINVAL, unix.EMSGSIZE, unix.EHOSTUNREACH,
		unix.ENETUNREACH, unix.EADDRNOTAVAIL} {
		if errors.Is(errno, e) {
			return true
		}
	}
	return false
}

// room waits a moment for room to send, or for Close. A full queue of the
// interface (ENOBUFS) does not show in poll, a full buffer of the socket does.
func (s *Socket) room(fd int, errno error) {
	fds := [2]unix.PollFd{{Fd: int32(s.wake), Events: unix.POLLIN}, {Fd: -1, Events: unix.POLLOUT}}
	if errors.Is(errno, unix.EAGAIN) {
		fds[1].Fd = int32(fd)
	}
	_, _ = unix.Poll(fds[:], busyWait)
}

// sendmmsg sends a batch and gives how many went.
func sendmmsg(fd int, batch []message) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(batch))), uintptr(len(batch)), unix.MSG_DONTWAIT, 0, 0)
	runtime.KeepAlive(batch)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// A packetSender sends through AF_PACKET.
type packetSender struct {
	fd       int
	medium   Medium
	messages [batchMost]message
	parts    [batchMost]unix.Iovec
	v4, v6   unix.RawSockaddrLinklayer // for media whose frames do not say what they are
}

// sendBuffer bounds what waits in the kernel to be sent: 4 MiB are some 5,000
// frames, as each counts with the kernel's own 768 bytes.
const sendBuffer = 4 << 20

// newPacketSender opens a socket without a protocol: it never receives.
func newPacketSender(dev device, bypass bool) (*packetSender, error) {
	kind := unix.SOCK_RAW
	if dev.medium == IP {
		kind = unix.SOCK_DGRAM
	}
	fd, err := unix.Socket(unix.AF_PACKET, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	p := &packetSender{fd: fd, medium: dev.medium}
	err = unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: dev.index})
	if err == nil && bypass {
		err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	// More than the system's limit is cut to it, unless we may exceed it.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	}
	p.v4 = unix.RawSockaddrLinklayer{Family: unix.AF_PACKET, Ifindex: int32(dev.index)}
	p.v6 = p.v4
	p.v4.Protocol, p.v6.Protocol = networkOrder(unix.ETH_P_IP), networkOrder(unix.ETH_P_IPV6)
	for i := range p.messages {
		h := &p.messages[i].header
		h.Iov = &p.parts[i]
		h.SetIovlen(1)
	}
	return p, nil
}

func (p *packetSender) prepare(frames [][]byte) (int, []message) {
	for i, f := range frames {
		p.parts[i].Base = unsafe.SliceData(f)
		p.parts[i].SetLen(len(f))
		if p.medium != IP {
			continue
		}
		h := &p.messages[i].header
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&p.v4)), unix.SizeofSockaddrLinklayer
		if len(f) > 0 && f[0]>>4 == 6 {
			h.Name = (*byte)(unsafe.Pointer(&p.v6))
		}
	}
	return p.fd, p.messages[:len(frames)]
}

func (p *packetSender) close() {
	if p.fd >= 0 {
		_ = unix.Close(p.fd)
		p.fd = -1
	}
}
