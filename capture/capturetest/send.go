//go:build linux

package capturetest

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A batch sends frames of one packet socket, as many per system call as it has
// room for.
type batch struct {
	fd   int
	buf  [][]byte
	msgs []mmsghdr
	iov  []unix.Iovec
	n    int // frames that are waiting
	sent uint64
}

// mmsghdr is the kernel's struct mmsghdr.
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// batchFrame is the room for one frame.
const batchFrame = 128

// newBatch makes a batch of up to size frames on fd, a bound packet socket.
func newBatch(fd, size int) *batch {
	b := &batch{fd: fd, buf: make([][]byte, size), msgs: make([]mmsghdr, size), iov: make([]unix.Iovec, size)}
	for i := range b.buf {
		b.buf[i] = make([]byte, batchFrame)
		b.iov[i].Base = &b.buf[i][0]
		b.msgs[i].hdr.Iov = &b.iov[i]
		b.msgs[i].hdr.SetIovlen(1)
	}
	return b
}

// next is the room for the next frame; add says how long it became.
func (b *batch) next() []byte { return b.buf[b.n] }

func (b *batch) add(size int) error {
	b.iov[b.n].SetLen(size)
	if b.n++; b.n == len(b.buf) {
		return b.flush()
	}
	return nil
}

// flush sends what waits. A full queue is waited for.
func (b *batch) flush() error {
	for at := 0; at < b.n; {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(b.fd),
			uintptr(unsafe.Pointer(&b.msgs[at])), uintptr(b.n-at), 0, 0, 0)
		switch {
		case errno == 0:
			at += int(n)
			b.sent += uint64(n)
		case errors.Is(errno, unix.EINTR):
		case errors.Is(errno, unix.ENOBUFS), errors.Is(errno, unix.EAGAIN):
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(b.fd), Events: unix.POLLOUT}}, 1)
		default:
			b.n = 0
			return os.NewSyscallError("sendmmsg", errno)
		}
	}
	b.n = 0
	return nil
}

// openSender opens a packet socket that only sends, on an interface of the
// calling thread's namespace. It takes the shortest way to the driver.
func openSender(index int) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: index})
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, os.NewSyscallError("bind", err)
	}
	return fd, nil
}
