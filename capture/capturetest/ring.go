//go:build linux

package capturetest

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The kernel fills a block until it is full or ringRetire has passed.
const (
	ringBlock  = 1 << 18 // bytes; some 2,000 small frames
	ringRetire = 10 * time.Millisecond
)

// A ring is a packet socket on one interface with a memory-mapped ring, for
// one reader.
type ring struct {
	fd     int
	index  int // of the interface
	mem    []byte
	blocks int
	closed atomic.Bool
}

// ringConfig says what a ring takes.
type ringConfig struct {
	blocks   int               // of ringBlock bytes
	incoming bool              // leaves out what this host sends
	filter   []bpf.Instruction // nil takes all
}

// openRing opens a ring in the namespace of the calling thread.
func openRing(name string, cfg ringConfig) (*ring, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("capture %s: %w", name, err)
	}
	// Without a protocol nothing is taken before all is set.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("capture %s: %w", name, err)
	}
	r := &ring{fd: fd, index: i.Index, blocks: cfg.blocks}
	if err := r.set(cfg); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("capture %s: %w", name, err)
	}
	return r, nil
}

func (r *ring) set(cfg ringConfig) error {
	if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return os.NewSyscallError("PACKET_VERSION", err)
	}
	if cfg.incoming {
		if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
			return os.NewSyscallError("PACKET_IGNORE_OUTGOING", err)
		}
	}
	if cfg.filter != nil {
		if err := setFilter(r.fd, cfg.filter); err != nil {
			return err
		}
	}
	req := unix.TpacketReq3{
		Block_size: ringBlock, Block_nr: uint32(cfg.blocks),
		Frame_size: 2048, Frame_nr: uint32(cfg.blocks * (ringBlock / 2048)),
		Retire_blk_tov: uint32(ringRetire.Milliseconds()),
	}
	if err := unix.SetsockoptTpacketReq3(r.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return os.NewSyscallError("PACKET_RX_RING", err)
	}
	mem, err := unix.Mmap(r.fd, 0, cfg.blocks*ringBlock, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return os.NewSyscallError("mmap", err)
	}
	r.mem = mem
	all := uint16(unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8) // network order
	if err := unix.Bind(r.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: r.index}); err != nil {
		_ = unix.Munmap(mem)
		return os.NewSyscallError("bind", err)
	}
	return nil
}

func setFilter(fd int, prog []bpf.Instruction) error {
	raw, err := bpf.Assemble(prog)
	if err != nil {
		return err
	}
	f := make([]unix.SockFilter, len(raw))
	for i, in := range raw {
		f[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	fprog := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	return os.NewSyscallError("SO_ATTACH_FILTER",
		unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &fprog))
}

// A ringFrame is what the ring holds of one frame, valid during the call.
type ringFrame struct {
	bytes    []byte
	at       time.Time // by the kernel
	outgoing bool
	vlan     uint16 // the tag that the kernel took off, if tagged
	tagged   bool
	unsummed bool // this host's kernel has left a checksum to the device
}

// read calls yield with each frame, and idle after each block and each
// ringRetire without one, until the ring is stopped.
func (r *ring) read(yield func(ringFrame), idle func()) {
	poll := []unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN | unix.POLLERR}}
	for block := 0; ; block = (block + 1) % r.blocks {
		mem := r.mem[block*ringBlock : (block+1)*ringBlock]
		// The status of struct tpacket_hdr_v1 follows two uint32.
		status := (*uint32)(unsafe.Pointer(&mem[8]))
		for atomic.LoadUint32(status)&unix.TP_STATUS_USER == 0 {
			idle()
			if r.closed.Load() {
				return
			}
			_, _ = unix.Poll(poll, int(ringRetire.Milliseconds()))
		}
		r.block(mem, yield)
		atomic.StoreUint32(status, unix.TP_STATUS_KERNEL)
		idle()
	}
}

func (r *ring) block(mem []byte, yield func(ringFrame)) {
	head := (*unix.TpacketHdrV1)(unsafe.Pointer(&mem[8]))
	at := head.Offset_to_first_pkt
	for range head.Num_pkts {
		h := (*unix.Tpacket3Hdr)(unsafe.Pointer(&mem[at]))
		// struct sockaddr_ll follows the header; its sll_pkttype is byte 10.
		kind := mem[at+unix.SizeofTpacket3Hdr+10]
		start := at + uint32(h.Mac)
		yield(ringFrame{
			bytes:    mem[start : start+h.Snaplen : start+h.Snaplen],
			at:       time.Unix(int64(h.Sec), int64(h.Nsec)),
			outgoing: kind == unix.PACKET_OUTGOING,
			vlan:     uint16(h.Hv1.Vlan_tci) & 0xfff,
			tagged:   h.Status&unix.TP_STATUS_VLAN_VALID != 0,
			unsummed: h.Status&unix.TP_STATUS_CSUMNOTREADY != 0,
		})
		at += h.Next_offset
	}
}

// dropped is how many frames the kernel had no room for since the last call.
func (r *ring) dropped() (uint64, error) {
	s, err := unix.GetsockoptTpacketStatsV3(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0, os.NewSyscallError("PACKET_STATISTICS", err)
	}
	return uint64(s.Drops), nil
}

// stop makes read return once it has no frame left.
func (r *ring) stop() { r.closed.Store(true) }

// close frees the ring, after read has returned.
func (r *ring) close() {
	_ = unix.Munmap(r.mem)
	_ = unix.Close(r.fd)
}
