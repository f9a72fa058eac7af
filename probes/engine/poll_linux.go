package engine

import (
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// A poller is one epoll instance with an eventfd that ends its wait.
type poller struct {
	epfd   int
	wakefd int
	events [256]unix.EpollEvent
}

// wakeSlot is what the eventfd is known as.
const wakeSlot = -1

// edges is what a socket is watched for. Each event comes once, so that one
// registration serves a socket for its whole life.
const edges = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// hangups say that there is more to be read than bytes: an end, or an error.
const hangups = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR

func newPoller() (*poller, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll instance: %w", err)
	}
	wakefd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		_ = unix.Close(epfd)
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	p := &poller{epfd: epfd, wakefd: wakefd}
	// Edge-triggered, each write is an event, and nobody has to read.
	if err := p.add(wakefd, unix.EPOLLIN|unix.EPOLLET, wakeSlot, 0); err != nil {
		p.close()
		return nil, fmt.Errorf("watch eventfd: %w", err)
	}
	return p, nil
}

// add watches a file, which events will call by slot and generation.
func (p *poller) add(fd int, events uint32, slot, generation int32) error {
	ev := unix.EpollEvent{Events: events, Fd: slot, Pad: generation}
	return unix.EpollCtl(p.epfd, unix.EPOLL_CTL_ADD, fd, &ev)
}

// wait waits for events, at most for d. They are valid until the next call.
func (p *poller) wait(d time.Duration) ([]unix.EpollEvent, error) {
	ms := -1
	if d < never {
		// Rounded up, or the last millisecond before a timer would be spun.
		ms = int(min((d+time.Millisecond-1)/time.Millisecond, math.MaxInt32))
	}
	n, err := unix.EpollWait(p.epfd, p.events[:], ms)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return nil, fmt.Errorf("wait for events: %w", err)
	}
	return p.events[:max(0, n)], nil
}

var one = []byte{1, 0, 0, 0, 0, 0, 0, 0}

// wake ends a wait, or the next one.
func (p *poller) wake() {
	// An eventfd refuses only beyond 2^64-2 wake-ups, and is awake then.
	_, _ = unix.Write(p.wakefd, one)
}

func (p *poller) close() {
	_ = unix.Close(p.wakefd)
	_ = unix.Close(p.epfd)
}
