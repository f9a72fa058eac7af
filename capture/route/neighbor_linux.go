package route

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A key names a neighbour.
type key struct {
	link int
	addr netip.Addr // without a zone
}

// Neighbors gives the kernel's neighbours of an interface, of all for link 0,
// without multicast entries. At most thresh3 of each IP version are there.
func (t *Table) Neighbors(link int) ([]Neighbor, error) {
	var out []Neighbor
	err := t.ask(func() error {
		return t.request(unix.RTM_GETNEIGH, unix.NLM_F_DUMP, neighborMessage(unix.AF_UNSPEC, 0)).
			ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH, func(m []byte) bool {
				n, ok := parseNeighbor(m)
				if ok && (link == 0 || n.Link == link) && !n.Addr.IsMulticast() {
					out = append(out, n)
				}
				return true
			})
	})
	if err != nil && !errors.Is(err, nl.ErrDumpInterrupted) { // it still has all that stayed
		return nil, fmt.Errorf("read neighbours: %w", err)
	}
	return out, nil
}

// Neighbor gives one of the kernel's neighbours as it is now. Its State is Gone
// where the kernel has none.
func (t *Table) Neighbor(link int, a netip.Addr) (Neighbor, error) {
	a = a.Unmap().WithZone("")
	n := Neighbor{Link: link, Addr: a}
	err := t.ask(func() error {
		return t.request(unix.RTM_GETNEIGH, 0, neighborMessage(familyOf(a), link),
			nl.NewRtAttr(unix.NDA_DST, a.AsSlice())).
			ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH, func(m []byte) bool {
				if got, ok := parseNeighbor(m); ok {
					n = got
				}
				return true
			})
	})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return Neighbor{}, fmt.Errorf("read neighbour %s: %w", a, err)
	}
	return n, nil
}

// awaitPoll is how often a neighbour that is waited for is read without a
// notification: none comes when an entry is begun.
const awaitPoll = time.Second

// Await waits while the kernel resolves a neighbour, and gives what came of it:
// any state but Incomplete.
func (t *Table) Await(ctx context.Context, link int, a netip.Addr) (Neighbor, error) {
	k := key{link, a.Unmap().WithZone("")}
	c := make(chan struct{}, 1)
	t.wait(k, c)
	defer t.leave(k, c)
	timer := time.NewTimer(awaitPoll)
	defer timer.Stop()
	for {
		n, err := t.Neighbor(link, k.addr)
		if err != nil || n.State != Incomplete {
			return n, err
		}
		timer.Reset(awaitPoll)
		select {
		case <-c:
		case <-timer.C:
		case <-ctx.Done():
			return n, context.Cause(ctx)
		}
	}
}

func (t *Table) wait(k key, c chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiters[k] == nil {
		t.waiters[k] = map[chan struct{}]struct{}{}
	}
	t.waiters[k][c] = struct{}{}
}

func (t *Table) leave(k key, c chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if delete(t.waiters[k], c); len(t.waiters[k]) == 0 {
		delete(t.waiters, k)
	}
}

// neighborChanged wakes who waits for a neighbour.
func (t *Table) neighborChanged(m *syscall.NetlinkMessage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiters) == 0 {
		return
	}
	if m != nil {
		if n, ok := parseNeighbor(m.Data); ok {
			for c := range t.waiters[key{n.Link, n.Addr}] {
				wake(c)
			}
		}
		return
	}
	for _, list := range t.waiters {
		for c := range list {
			wake(c)
		}
	}
}

// request begins a request on the socket of its own.
func (t *Table) request(kind uint16, flags uint16, parts ...nl.NetlinkRequestData) *nl.NetlinkRequest {
	return &nl.NetlinkRequest{
		NlMsghdr: unix.NlMsghdr{Len: unix.SizeofNlMsghdr, Type: kind, Flags: unix.NLM_F_REQUEST | flags},
		Data:     parts,
		Sockets:  t.raw,
	}
}

// fixed is the fixed part of a message.
type fixed []byte

func (f fixed) Len() int          { return len(f) }
func (f fixed) Serialize() []byte { return f }

// sizeofNdMsg is the size of struct ndmsg: family, 3 bytes of padding, index
// (32 bits), state (16 bits), flags, type.
const sizeofNdMsg = 12

func neighborMessage(family, link int) fixed {
	b := make(fixed, sizeofNdMsg)
	b[0] = byte(family)
	binary.NativeEndian.PutUint32(b[4:], uint32(link))
	return b
}

// parseNeighbor reads the message of an ARP or ND entry.
func parseNeighbor(b []byte) (n Neighbor, ok bool) {
	if len(b) < sizeofNdMsg || b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
		return n, false // bridges tell of their MAC addresses by the same message
	}
	n.Link = int(int32(binary.NativeEndian.Uint32(b[4:])))
	n.State = State(binary.NativeEndian.Uint16(b[8:]))
	n.Router = b[10]&unix.NTF_ROUTER != 0
	if b[10]&unix.NTF_PROXY != 0 {
		return n, false // what this machine answers for another one
	}
	for kind, value := range attributes(b[sizeofNdMsg:]) {
		switch kind {
		case unix.NDA_DST:
			n.Addr, _ = netip.AddrFromSlice(value)
		case unix.NDA_LLADDR:
			if len(value) == len(n.MAC) {
				n.MAC = [6]byte(value)
			}
		}
	}
	if !n.State.HasMAC() {
		n.MAC = [6]byte{}
	}
	return n, n.Addr.IsValid() && n.Addr.Is4() == (b[0] == unix.AF_INET)
}
