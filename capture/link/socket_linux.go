package link

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A Socket sends and receives frames on one interface.
type Socket struct {
	name   string
	medium Medium
	mtu    int
	wake   int         // an eventfd, readable for good once the socket closes
	closed atomic.Bool // set before wake is written

	cut atomic.Bool // the interface is down, or without a carrier

	receiving sync.Mutex // held by Receive; guards the walk of ring
	ring      *ring      // nil if the socket only sends
	carrier   *carrier   // nil without a ring, and for the box itself

	statistics sync.Mutex // guards what follows
	received   uint64
	dropped    uint64

	turn Turn // of Receive

	lanes               []*lane // as many as may send at once; immutable
	sent, busy, refused atomic.Uint64
}

// A lane is a way out of a Socket, for one goroutine at a time.
type lane struct {
	sending sync.Mutex // guards out; taken after receiving if at all
	out     sender
}

// Open opens a socket on an interface. It fails with [ErrNoPermission],
// [ErrDown] and [ErrMedium].
func Open(c Config) (*Socket, error) {
	s := &Socket{name: c.Interface, wake: -1}
	if err := s.open(&c); err != nil {
		s.release()
		return nil, s.fault("open", err)
	}
	return s, nil
}

func (s *Socket) open(c *Config) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	dev, err := lookUp(fd, c.Interface)
	_ = unix.Close(fd)
	if err == nil && dev.medium == 0 {
		err = ErrMedium
	}
	if err != nil {
		return err
	}
	s.medium, s.mtu = dev.medium, dev.mtu
	err = s.pave(c, func() (sender, error) { return newPacketSender(dev, c.Bypass) })
	if err != nil {
		return err
	}
	if err = s.listen(c, dev); err != nil || s.ring == nil {
		return err
	}
	if s.carrier, err = newCarrier(dev.index); err == nil && s.carrier.lost {
		err = errNoCarrier
	}
	return err
}

// pave makes the lanes.
func (s *Socket) pave(c *Config, open func() (sender, error)) error {
	for range max(1, c.Senders) {
		out, err := open()
		if err != nil {
			return err
		}
		s.lanes = append(s.lanes, &lane{out: out})
	}
	return nil
}

// listen opens what Receive and Close need.
func (s *Socket) listen(c *Config, dev device) (err error) {
	if s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return err
	}
	if c.Filter == nil {
		return nil
	}
	filter, err := bpf.Assemble(c.Filter(dev.medium))
	if err != nil {
		return err
	}
	s.ring, err = newRing(c, dev, filter)
	return err
}

// Medium is that of the frames that are sent and received.
func (s *Socket) Medium() Medium { return s.medium }

// MTU is how many bytes an IP packet on the interface may have, as it was when
// the socket was opened.
func (s *Socket) MTU() int { return s.mtu }

// Receive calls yield with each frame and the time of its arrival, until the
// socket is closed; it returns [net.ErrClosed] then. The frame is valid during
// the call only. yield may send, but must not close the socket.
//
// It returns [ErrDown] once each time that the interface goes down or loses its
// carrier; called again, it waits for frames of the interface come up again.
func (s *Socket) Receive(yield func(frame []byte, at time.Time)) error {
	s.receiving.Lock()
	defer s.receiving.Unlock()
	defer s.turn.End()
	for !s.closed.Load() {
		s.turn.Begin()
		if s.ring != nil && s.ring.take(yield) {
			continue
		}
		s.turn.End()
		if err := s.await(); err != nil {
			return s.fault("receive", err)
		}
	}
	return net.ErrClosed
}

// Busy is how long Receive has been at the frames that it handed over last, 0
// while it waits for frames. That takes milliseconds, unless yield hangs.
func (s *Socket) Busy() time.Duration { return s.turn.Busy() }

// await waits until the ring has frames, the interface goes down or the socket
// closes.
func (s *Socket) await() error {
	fds := [3]unix.PollFd{{Fd: int32(s.wake), Events: unix.POLLIN}, {Fd: -1, Events: unix.POLLIN},
		{Fd: -1, Events: unix.POLLIN}}
	if s.ring != nil {
		fds[1].Fd = int32(s.ring.fd)
	}
	if s.carrier != nil {
		fds[2].Fd = int32(s.carrier.fd)
	}
	if _, err := unix.Poll(fds[:], -1); err != nil && !errors.Is(err, unix.EINTR) {
		return err
	}
	if fds[2].Revents != 0 {
		lost, err := s.carrier.read()
		s.cut.Store(s.carrier.lost)
		if lost != nil || err != nil {
			_ = pending(s.ring.fd) // the same loss, as the socket tells it
			return errors.Join(lost, err)
		}
	}
	if fds[1].Revents&unix.POLLERR != 0 {
		return s.wentDown(pending(s.ring.fd))
	}
	return nil
}

// wentDown takes what the ring's socket says, and gives it unless it is known.
func (s *Socket) wentDown(err error) error {
	if s.carrier == nil || !errors.Is(err, unix.ENETDOWN) {
		return err
	}
	known := s.carrier.lost
	s.carrier.lost = true
	s.cut.Store(true)
	if known {
		return nil
	}
	return err
}

// pending takes the error that the kernel left on a socket.
func pending(fd int) error {
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	return err
}

// Drops is how many frames that passed the filter were received and how many
// were lost for want of room, since the socket was opened.
func (s *Socket) Drops() (received, dropped uint64) {
	s.statistics.Lock()
	defer s.statistics.Unlock()
	if s.ring != nil && s.ring.fd >= 0 {
		// The kernel starts anew with each time it is asked, and counts what was
		// dropped as arrived.
		if st, err := unix.GetsockoptTpacketStatsV3(s.ring.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			s.received += uint64(st.Packets - st.Drops)
			s.dropped += uint64(st.Drops)
		}
	}
	return s.received, s.dropped
}

// Counters are what happened on the socket since it was opened.
func (s *Socket) Counters() (c Counters) {
	c.Received, c.Dropped = s.Drops()
	c.Sent, c.Busy, c.Refused = s.sent.Load(), s.busy.Load(), s.refused.Load()
	return c
}

// Close ends Receive and Send, waits for both, and gives back what the socket
// holds. Its counters can still be read.
func (s *Socket) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	_, _ = unix.Write(s.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // not 0 in any byte order
	s.receiving.Lock()
	defer s.receiving.Unlock()
	for _, l := range s.lanes {
		l.sending.Lock()
		defer l.sending.Unlock()
	}
	s.Drops()
	s.statistics.Lock()
	defer s.statistics.Unlock()
	s.release()
	return nil
}

// release closes what is open.
func (s *Socket) release() {
	if s.ring != nil {
		s.ring.close()
	}
	if s.carrier != nil {
		s.carrier.close()
	}
	for _, l := range s.lanes {
		l.out.close()
	}
	if s.wake >= 0 {
		_ = unix.Close(s.wake)
		s.wake = -1
	}
}

// fault says what was done to which interface, and gives the errors that are a
// caller's to act on by their name.
func (s *Socket) fault(operation string, err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		err = ErrNoPermission
	case errors.Is(err, unix.ENETDOWN), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		err = fmt.Errorf("%w (%w)", ErrDown, err)
	}
	return fmt.Errorf("%s on %s: %w", operation, s.name, err)
}
