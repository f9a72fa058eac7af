package route

import (
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// follow reads notifications until the socket is closed. tell is called with
// each, and with nil after an overrun: then anything may have changed.
func (t *Table) follow(s *nl.NetlinkSocket, tell func(m *syscall.NetlinkMessage)) {
	for {
		list, from, err := s.Receive()
		switch {
		case errors.Is(err, os.ErrClosed) || errors.Is(err, unix.EBADF):
			return
		case errors.Is(err, unix.ENOBUFS):
			tell(nil)
			continue
		case err != nil:
			if !t.pause(err) {
				return
			}
			tell(nil)
			continue
		case from.Pid != nl.PidKernel: // another program may send to us
			continue
		}
		for i := range list {
			tell(&list[i])
		}
	}
}

// errorPause keeps an error that comes again and again from taking the CPU.
const errorPause = 100 * time.Millisecond

// pause is taken after an error that netlink(7) does not know. It says whether
// to go on.
func (t *Table) pause(err error) bool {
	if t.ask(func() error { return nil }) != nil {
		return false
	}
	t.log.Warn("netlink notification lost", "err", err)
	time.Sleep(errorPause)
	return true
}

// changed forgets what was known of routes, and tells so.
func (t *Table) changed(m *syscall.NetlinkMessage) {
	if m == nil {
		t.log.Debug("netlink overrun: routes are read again")
	} else if t.same(m) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gen.Add(1)
	t.snap.Store(nil)
	for c := range t.watchers {
		wake(c)
	}
}

// same says whether a message about a link says nothing new: drivers tell of
// their links whenever they like, wireless ones many times a minute.
func (t *Table) same(m *syscall.NetlinkMessage) bool {
	s := t.snap.Load()
	if m.Header.Type != unix.RTM_NEWLINK || s == nil || len(m.Data) < unix.SizeofIfInfomsg {
		return false
	}
	if m.Data[0] == unix.AF_BRIDGE {
		return true // about the port of a bridge, not about the interface
	}
	l, err := netlink.LinkDeserialize(nil, m.Data)
	if err != nil {
		return false
	}
	i := interfaceOf(l)
	return s.links[i.Index] == i
}
