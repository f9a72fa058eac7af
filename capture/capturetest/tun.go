//go:build linux

package capturetest

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A Device is an interface whose other end is the test: it reads what the
// namespace sends on it, and writes what the namespace receives.
type Device struct {
	Port
	file *os.File
	done chan struct{} // closed when the reader has ended

	mu     sync.Mutex // guards what follows
	frames []Frame
}

// NewTun makes a point-to-point interface without Ethernet headers, as VPNs
// have it, which is up. handle gets each packet that the namespace sends; what
// it returns, if anything, comes back. All packets are recorded.
func NewTun(t testing.TB, ns *Namespace, name string, handle func(packet []byte) []byte) *Device {
	t.Helper()
	return newDevice(t, Port{ns, name}, unix.IFF_TUN, parseIP, handle)
}

// newTap makes an Ethernet interface whose other end is handle.
func newTap(t testing.TB, p Port, handle func(frame []byte) []byte) *Device {
	t.Helper()
	return newDevice(t, p, unix.IFF_TAP, parseEthernet, handle)
}

func newDevice(t testing.TB, p Port, kind uint16, parse func([]byte) Frame, handle func([]byte) []byte) *Device {
	t.Helper()
	d := &Device{Port: p, done: make(chan struct{})}
	p.In.Do(t, func() (err error) {
		d.file, err = openTun(p.Name, kind)
		return err
	})
	d.Up(t)
	go func() {
		defer close(d.done)
		d.run(parse, handle)
	}()
	t.Cleanup(func() {
		d.file.Close()
		<-d.done
	})
	return d
}

func openTun(name string, kind uint16) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(kind | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make interface %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), "tun "+name), nil
}

func (d *Device) run(parse func([]byte) Frame, handle func([]byte) []byte) {
	buf := make([]byte, 65536)
	for {
		n, err := d.file.Read(buf)
		if errors.Is(err, unix.EIO) { // the interface is down
			time.Sleep(time.Millisecond)
			continue
		}
		if err != nil {
			return
		}
		f := parse(buf[:n])
		f.At = time.Now()
		d.mu.Lock()
		d.frames = append(d.frames, f)
		d.mu.Unlock()
		if back := handle(buf[:n]); back != nil {
			d.inject(back)
		}
	}
}

// inject lets the namespace receive a frame; it is lost if the interface is
// down.
func (d *Device) inject(frame []byte) { _, _ = d.file.Write(frame) }

// Received are the frames that the namespace has sent, up to now.
func (d *Device) Received() []Frame {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.frames)
}

// AnswerIP answers the packets of a tun as hosts would: SYNs as Responder does
// and echo requests. All else stays without answer.
func (r Responder) AnswerIP(packet []byte) []byte {
	if len(packet) < 40 || packet[0] != 0x45 {
		return nil
	}
	f := parseIP(packet)
	if !r.Prefix.Contains(f.Dst) || f.BadSum || f.Short {
		return nil
	}
	if f.Class() == ClassEcho {
		return echoReply(packet)
	}
	if f.Class() != ClassSYN {
		return nil
	}
	p := tcpFrame{src: f.Dst.As4(), dst: f.Src.As4(), sport: f.DstPort, dport: f.SrcPort, ack: f.Seq + 1, flags: RST | ACK}
	if r.Open(f.Dst, f.DstPort) {
		p.flags = SYN | ACK
	}
	b := make([]byte, tcpFrameSize)
	return b[14:p.put(b)]
}

// echoReply turns an ICMP echo request over IPv4 round. The IP header keeps its
// checksum, as the addresses only change places.
func echoReply(packet []byte) []byte {
	b := slices.Clone(packet)
	copy(b[12:16], packet[16:20])
	copy(b[16:20], packet[12:16])
	b[20] = 0
	b[22], b[23] = 0, 0
	s := ^sum(0, b[20:])
	b[22], b[23] = byte(s>>8), byte(s)
	return b
}
