package passive

import (
	"encoding/binary"
	"testing"
	"time"
)

// BenchmarkLook is the cost of a frame that the kernel's filter left.
func BenchmarkLook(b *testing.B) {
	ack := ether(etherIPv4, ip4(6, host1, host2, tcp(80, 40000, 7, 100, 0x12)))
	for name, frame := range map[string][]byte{
		"syn":      ether(etherIPv4, ip4(6, host2, host1, tcp(40000, 80, 99, 0, flagSYN))),
		"repeated": ack,
		"outside":  ether(etherIPv4, ip4(6, "198.51.100.1", host2, tcp(80, 40000, 7, 1, 0x12))),
		"arp":      ether(etherARP, arp(1, host1, host2)),
	} {
		b.Run(name, func(b *testing.B) {
			l := testLooker(Config{FramesPerSecond: 1 << 30})
			l.handshake(frame, t0)
			b.ReportAllocs()
			for b.Loop() {
				l.handshake(frame, t0)
			}
		})
	}
	b.Run("spoofed", func(b *testing.B) { // each another endpoint, nearly all suppressed
		l := testLooker(Config{FramesPerSecond: 1 << 30})
		b.ReportAllocs()
		at := t0
		for i := uint32(0); b.Loop(); i++ {
			binary.BigEndian.PutUint16(ack[28:], uint16(i*2654435761>>16)) // 198.18.x.x
			binary.BigEndian.PutUint16(ack[34:], uint16(i)|1)
			at = at.Add(5 * time.Microsecond) // 200,000/s
			l.handshake(ack, at)
			if len(l.judge.out) > 0 {
				<-l.judge.out
			}
		}
	})
	b.Run("sampled", func(b *testing.B) {
		l := testLooker(Config{FramesPerSecond: 100})
		b.ReportAllocs()
		for b.Loop() {
			l.handshake(ack, t0)
		}
	})
}
