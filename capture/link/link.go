// Package link sends and receives whole frames on one network interface, and
// tells how many it was too slow to receive.
//
// No frame reaches a [Socket] that its filter did not pass, from the first
// moment on: the filter is set before the socket is bound. Every frame that
// passed is either handed to Receive's function once or counted by
// [Socket.Drops].
//
// A Socket may be used by any number of goroutines, of which one receives. It
// belongs to the network namespace of the thread that opened it. It changes
// nothing of the interface but the modes that Config asks for, which end with
// the socket. What lies in frames is not looked at here.
//
// # Cost
//
// A received frame costs no copy and no allocation: it is read where the kernel
// wrote it. A batch costs one system call for each 128 frames. The ring is
// kernel memory of Config.RingBytes, which counts as resident memory of the
// process.
package link

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/net/bpf"
)

// A Medium says what stands in front of the IP header of a frame.
type Medium uint8

// The media. Their numbers are those of frame.Medium.
const (
	Ethernet Medium = 1 // a 14-byte Ethernet header
	IP       Medium = 2 // nothing: tun, PPP, tunnels, and the box's own addresses
)

// Errors that a caller may want to act on.
var (
	// ErrNoPermission is for a process that may not open raw sockets.
	ErrNoPermission = errors.New("raw sockets need the capability CAP_NET_RAW: grant it by " +
		"AmbientCapabilities=CAP_NET_RAW in the systemd unit, or by setcap cap_net_raw+ep on the program")

	// ErrDown is for an interface that is down or without a carrier, became so,
	// or is gone. A socket of an interface that comes up again works on; one
	// whose interface was removed has to be opened anew.
	ErrDown = errors.New("interface is down")

	// ErrBusy is for a batch that the interface did not take within a tenth of
	// a second. What was not sent may be sent again.
	ErrBusy = errors.New("interface takes no more frames")

	// ErrMedium is for an interface whose frames are neither Ethernet nor IP.
	ErrMedium = errors.New("frames are neither Ethernet nor IP")

	// ErrUnsupported is for an operating system without AF_PACKET.
	ErrUnsupported = fmt.Errorf("raw frames: %w: only Linux has AF_PACKET", errors.ErrUnsupported)
)

// A Filter makes the program that decides which frames of a medium a socket
// receives. The program returns how many bytes of the frame to keep.
type Filter func(Medium) []bpf.Instruction

// Config says what to open.
type Config struct {
	Interface string
	Filter    Filter // nil receives nothing: the socket only sends

	// RingBytes is the size of the ring, rounded up to blocks of 256 KiB; 0
	// stands for [DefaultRing].
	RingBytes int

	// Linger is how long a received frame may wait for others before it is
	// handed over, in whole milliseconds; 0 stands for [DefaultLinger].
	Linger time.Duration

	// Outgoing also receives what the box itself sends on the interface.
	Outgoing bool

	// Tagged also receives frames of VLANs that pass the interface, without
	// their outermost tag. Such frames arrive on the VLAN's own interface as
	// well, if there is one.
	Tagged bool

	// Promiscuous receives frames to other stations too, AllMulticast those to
	// groups that nobody here has joined, such as reports of MLD.
	Promiscuous, AllMulticast bool

	// Senders is how many calls of Send may be under way at once; 1 if zero.
	// More wait for each other. Each has a socket of its own.
	Senders int

	// Bypass sends past the queueing discipline of the interface, straight to
	// its driver: fewer instructions per frame, but tc and nft egress rules do
	// not apply and captures on this box do not see the frames.
	Bypass bool
}

// Defaults of a Config.
const (
	// DefaultRing holds what arrives in a quarter of a second at 200,000 short
	// frames per second: a frame of 60 bytes takes 144 with its headers, so
	// 200,000 × 144 B × 0.25 s = 7.2 MB.
	DefaultRing = 8 << 20

	// DefaultLinger is short beside a network's round trip and long beside the
	// cost of waking up.
	DefaultLinger = 4 * time.Millisecond
)

// Counters are what happened on a socket since it was opened.
type Counters struct {
	Received uint64 // frames that passed the filter and found room
	Dropped  uint64 // frames that passed the filter and found none
	Sent     uint64 // frames that the kernel took
	Busy     uint64 // times that sending had to wait for room
	Refused  uint64 // frames that the kernel did not take, by its own rules
}
