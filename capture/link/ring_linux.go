package link

import (
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// blockBytes is the size of one block of a ring: 1,800 short frames, and room
// for the longest frame that segmentation offload makes (64 KiB).
const blockBytes = 256 << 10

// minFrame is a lower bound of a frame's room in a block, by which the kernel
// checks the ring's shape; frames follow each other closely all the same.
const minFrame = 2048

// Offsets within struct tpacket3_hdr and what follows it.
const (
	blockHeaderOffset = 8  // of struct tpacket_hdr_v1 in a block
	addressOffset     = 48 // of struct sockaddr_ll behind a frame's header
	packetTypeOffset  = 10 // of sll_pkttype in struct sockaddr_ll
)

// vlanID masks the number of a VLAN out of a tag; 0 is a tag for its priority
// alone.
const vlanID = 0xfff

// A ring is memory that the kernel writes frames to, in blocks that it hands
// over and gets back (TPACKET_V3).
type ring struct {
	fd       int // -1 when closed
	mem      []byte
	next     int // the block that comes next
	blocks   int
	outgoing bool
	tagged   bool
}

// newRing opens a socket that receives what filter passes. Nothing can get in
// ahead of the filter: a socket without a protocol receives nothing, and the
// protocol comes with the binding, last.
func newRing(c *Config, dev device, filter []bpf.RawInstruction) (*ring, error) {
	kind := unix.SOCK_RAW
	if dev.medium == IP {
		kind = unix.SOCK_DGRAM
	}
	fd, err := unix.Socket(unix.AF_PACKET, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	r := &ring{fd: fd, outgoing: c.Outgoing, tagged: c.Tagged}
	if err := r.open(c, dev, filter); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *ring) open(c *Config, dev device, filter []bpf.RawInstruction) error {
	if err := attach(r.fd, filter); err != nil {
		return err
	}
	if !c.Outgoing {
		// Kernels before 4.20 do not know it; take looks for itself as well.
		_ = unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	}
	if err := r.allocate(c); err != nil {
		return err
	}
	for mode, on := range map[uint16]bool{
		unix.PACKET_MR_PROMISC: c.Promiscuous, unix.PACKET_MR_ALLMULTI: c.AllMulticast,
	} {
		if !on {
			continue
		}
		m := unix.PacketMreq{Ifindex: int32(dev.index), Type: mode}
		if err := unix.SetsockoptPacketMreq(r.fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &m); err != nil {
			return err
		}
	}
	err := unix.Bind(r.fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: dev.index})
	if err != nil {
		return err
	}
	return pending(r.fd) // an interface that is down is told this way
}

// allocate sets the ring up and maps it.
func (r *ring) allocate(c *Config) error {
	size, linger := c.RingBytes, c.Linger
	if size <= 0 {
		size = DefaultRing
	}
	if linger <= 0 {
		linger = DefaultLinger
	}
	if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return err
	}
	r.blocks = max(2, (size+blockBytes-1)/blockBytes)
	req := unix.TpacketReq3{
		Block_size: blockBytes, Block_nr: uint32(r.blocks),
		Frame_size: minFrame, Frame_nr: uint32(r.blocks * (blockBytes / minFrame)),
		Retire_blk_tov: uint32(max(1, linger.Milliseconds())),
	}
	if err := unix.SetsockoptTpacketReq3(r.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return err
	}
	mem, err := unix.Mmap(r.fd, 0, r.blocks*blockBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	r.mem = mem
	return err
}

// take hands the frames of the next block to yield and the block back to the
// kernel. It is false if the kernel still has the block.
func (r *ring) take(yield func([]byte, time.Time)) bool {
	block := r.mem[r.next*blockBytes:][:blockBytes:blockBytes]
	h := (*unix.TpacketHdrV1)(unsafe.Pointer(&block[blockHeaderOffset]))
	if atomic.LoadUint32(&h.Block_status)&unix.TP_STATUS_USER == 0 {
		return false
	}
	at := h.Offset_to_first_pkt
	for range h.Num_pkts {
		f := (*unix.Tpacket3Hdr)(unsafe.Pointer(&block[at]))
		if r.wanted(f, block[at:]) {
			begin := at + uint32(f.Mac)
			end := begin + f.Snaplen
			yield(block[begin:end:end], time.Unix(int64(f.Sec), int64(f.Nsec)))
		}
		at += f.Next_offset
	}
	atomic.StoreUint32(&h.Block_status, unix.TP_STATUS_KERNEL)
	r.next = (r.next + 1) % r.blocks
	return true
}

// wanted says whether a frame came in, and came in for this interface.
func (r *ring) wanted(f *unix.Tpacket3Hdr, b []byte) bool {
	if !r.outgoing && b[addressOffset+packetTypeOffset] == unix.PACKET_OUTGOING {
		return false
	}
	return r.tagged || f.Status&unix.TP_STATUS_VLAN_VALID == 0 || f.Hv1.Vlan_tci&vlanID == 0
}

// close gives the ring back.
func (r *ring) close() {
	if r.mem != nil {
		_ = unix.Munmap(r.mem)
		r.mem = nil
	}
	if r.fd >= 0 {
		_ = unix.Close(r.fd)
		r.fd = -1
	}
}

// attach sets the filter of a socket.
func attach(fd int, filter []bpf.RawInstruction) error {
	ins := make([]unix.SockFilter, len(filter))
	for i, f := range filter {
		ins[i] = unix.SockFilter{Code: f.Op, Jt: f.Jt, Jf: f.Jf, K: f.K}
	}
	prog := unix.SockFprog{Len: uint16(len(ins)), Filter: unsafe.SliceData(ins)}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog)
}

// networkOrder gives a number whose bytes in memory are in network order.
func networkOrder(v uint16) uint16 {
	b := [2]byte{byte(v >> 8), byte(v)}
	return *(*uint16)(unsafe.Pointer(&b))
}
