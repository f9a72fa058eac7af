package link

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// loopback is the interface that packets of the box to itself pass, whatever
// interface has their address.
const loopback = "lo"

// OpenRaw opens a socket for destinations that are the box itself: loopback and
// its own addresses. Frames are IP packets without a link header; what is not
// addressed to the box is sent where its routes lead, so the caller asks these
// first. c.Interface and c.Bypass are not used. IPv6 link-local addresses are
// refused, as a packet does not say which interface they are of.
//
// Packets leave by raw IP sockets, as the kernel takes what AF_PACKET puts on
// loopback for martian. Answers are received by AF_PACKET on loopback, and not
// by raw IP sockets, of which it would take one for each protocol and version
// of IP, without the ring and the drop counter, and for IPv6 without the IP
// header. The copy that each packet makes there on its way out is left aside.
func OpenRaw(c Config) (*Socket, error) {
	c.Interface, c.Outgoing = loopback, false
	s := &Socket{name: loopback, wake: -1}
	if err := s.openRaw(&c); err != nil {
		s.release()
		return nil, s.fault("open", err)
	}
	return s, nil
}

func (s *Socket) openRaw(c *Config) error {
	fd := -1 // any, of the namespace
	err := s.pave(c, func() (sender, error) {
		r, err := newRawSender()
		if err != nil {
			return nil, err
		}
		fd = r.v4
		return r, nil
	})
	if err != nil {
		return err
	}
	dev, err := lookUp(fd, c.Interface)
	if err != nil {
		return err
	}
	s.medium, s.mtu = IP, dev.mtu
	dev.medium = IP
	return s.listen(c, dev)
}

// A rawSender sends through raw IP sockets, whose packets bring their IP header
// along. The kernel finds their way by the destination.
type rawSender struct {
	v4, v6   int // v6 is -1 where the system has no IPv6
	messages [batchMost]message
	parts    [batchMost]unix.Iovec
	to4      [batchMost]unix.RawSockaddrInet4
	to6      [batchMost]unix.RawSockaddrInet6
}

func newRawSender() (*rawSender, error) {
	v4, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return nil, err
	}
	v6, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		v6 = -1
	}
	r := &rawSender{v4: v4, v6: v6}
	for i := range r.messages {
		h := &r.messages[i].header
		h.Iov = &r.parts[i]
		h.SetIovlen(1)
		r.to4[i].Family, r.to6[i].Family = unix.AF_INET, unix.AF_INET6
	}
	return r, nil
}

func (r *rawSender) prepare(frames [][]byte) (int, []message) {
	version := ipVersion(frames[0])
	fd := -1
	switch version {
	case 4:
		fd = r.v4
	case 6:
		fd = r.v6
	}
	if fd < 0 {
		return -1, nil
	}
	n := 0
	for ; n < len(frames) && ipVersion(frames[n]) == version; n++ {
		f, h := frames[n], &r.messages[n].header
		r.parts[n].Base = unsafe.SliceData(f)
		r.parts[n].SetLen(len(f))
		if version == 4 {
			copy(r.to4[n].Addr[:], f[16:20])
			h.Name, h.Namelen = (*byte)(unsafe.Pointer(&r.to4[n])), unix.SizeofSockaddrInet4
		} else {
			copy(r.to6[n].Addr[:], f[24:40])
			h.Name, h.Namelen = (*byte)(unsafe.Pointer(&r.to6[n])), unix.SizeofSockaddrInet6
		}
	}
	return fd, r.messages[:n]
}

// ipVersion is 4 or 6, or 0 for what is no IP packet.
func ipVersion(b []byte) int {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		return 4
	case len(b) >= 40 && b[0]>>4 == 6:
		return 6
	}
	return 0
}

func (r *rawSender) close() {
	for _, fd := range []*int{&r.v4, &r.v6} {
		if *fd >= 0 {
			_ = unix.Close(*fd)
			*fd = -1
		}
	}
}
