//go:build linux && integration

package link_test

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"sonde/capture/capturetest"
	"sonde/capture/frame"
	"sonde/capture/link"
)

// spent is the processor time of the process.
func spent() time.Duration {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// flood is a batch of SYN-ACKs that the sweep filter passes.
func flood() [][]byte {
	b := onEthernet(segment(host4, our4, 80, portLo, frame.FlagSYN|frame.FlagACK), false)
	copy(b, slices.Repeat([]byte{0xff}, 6))
	return slices.Repeat([][]byte{b}, 512)
}

// BenchmarkSend sends short frames over a veth pair to nobody.
func BenchmarkSend(b *testing.B) {
	for name, bypass := range map[string]bool{"queue": false, "bypass": true} {
		b.Run(name, func(b *testing.B) {
			p := capturetest.NewPair(b)
			s := open(b, p.Sensor, link.Open, link.Config{Interface: p.Near.Name, Bypass: bypass})
			batch := flood()
			b.ReportAllocs()
			began, n := spent(), 0
			for b.Loop() {
				if _, err := s.Send(batch); err != nil {
					b.Fatal(err)
				}
				n += len(batch)
			}
			report(b, n, began)
			b.ReportMetric(float64(s.Counters().Busy), "busy")
		})
	}
}

// report tells frames per second and processor time per frame.
func report(b *testing.B, frames int, began time.Duration) {
	b.ReportMetric(float64(frames)/b.Elapsed().Seconds()/1000, "kframes/s")
	b.ReportMetric(float64(spent()-began)/float64(frames), "cpu-ns/frame")
}

// BenchmarkReceive receives a flood on the other end of a veth pair, by the
// ring and, to compare, by recvmmsg with the same filter. Its processor time is
// that of sender and receiver together.
func BenchmarkReceive(b *testing.B) {
	b.Run("ring", func(b *testing.B) {
		receive(b, func(p *capturetest.Pair, got *atomic.Int64) (drops func() uint64) {
			s := open(b, p.Target, link.Open, link.Config{Interface: p.Far.Name, Filter: link.SweepFilter(portLo, portHi)})
			go func() { _ = s.Receive(func([]byte, time.Time) { got.Add(1) }) }()
			return func() uint64 { _, d := s.Drops(); return d }
		})
	})
	b.Run("recvmmsg", func(b *testing.B) {
		receive(b, func(p *capturetest.Pair, got *atomic.Int64) (drops func() uint64) {
			fd := plainSocket(b, p)
			done := make(chan struct{})
			go func() {
				defer close(done)
				recvmmsg(fd, got)
			}()
			b.Cleanup(func() {
				_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 1})
				<-done
				_ = unix.Close(fd)
			})
			return func() uint64 {
				st, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
				if err != nil {
					b.Fatal(err)
				}
				return uint64(st.Drops)
			}
		})
	})
}

// receive floods what start has made.
func receive(b *testing.B, start func(*capturetest.Pair, *atomic.Int64) (drops func() uint64)) {
	p := capturetest.NewPair(b)
	var got atomic.Int64
	drops := start(p, &got)
	s := open(b, p.Sensor, link.Open, link.Config{Interface: p.Near.Name, Bypass: true})
	batch := flood()
	began, n := spent(), 0
	for b.Loop() {
		if _, err := s.Send(batch); err != nil {
			b.Fatal(err)
		}
		n += len(batch)
	}
	report(b, n, began)
	lost := drops()
	for deadline := time.Now().Add(5 * time.Second); got.Load() < int64(n)-int64(lost) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(float64(got.Load())/float64(n), "received")
	b.ReportMetric(float64(lost)/float64(n), "dropped")
}

// plainSocket opens an AF_PACKET socket with the sweep's filter and no ring.
func plainSocket(b *testing.B, p *capturetest.Pair) (fd int) {
	p.Target.Do(b, func() (err error) {
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		raw, err := bpf.Assemble(link.SweepFilter(portLo, portHi)(link.Ethernet))
		if err != nil {
			return err
		}
		prog := unix.SockFprog{Len: uint16(len(raw)), Filter: (*unix.SockFilter)(unsafe.Pointer(unsafe.SliceData(raw)))}
		i, err := interfaceIndex(fd, p.Far.Name)
		return errors.Join(err,
			unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, link.DefaultRing),
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}),
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0x0300, Ifindex: i}))
	})
	return fd
}

func interfaceIndex(fd int, name string) (int, error) {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req)
	return int(req.Uint32()), err
}

// recvmmsg counts frames until none came for the socket's timeout, after the
// first.
func recvmmsg(fd int, got *atomic.Int64) {
	type message struct {
		header unix.Msghdr
		n      uint32
	}
	var batch [64]message
	var parts [64]unix.Iovec
	for i := range batch {
		buf := make([]byte, 2048)
		parts[i].Base = &buf[0]
		parts[i].SetLen(len(buf))
		batch[i].header.Iov = &parts[i]
		batch[i].header.SetIovlen(1)
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&batch[0])),
			uintptr(len(batch)), unix.MSG_WAITFORONE, 0, 0)
		if errno == unix.EAGAIN && got.Load() > 0 {
			return
		}
		if errno == 0 {
			got.Add(int64(n))
		}
	}
}
