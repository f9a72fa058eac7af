package sweep

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// A secret makes the cookies of a sweeper: what an answer must repeat to be
// taken for one. They cost no memory per target, and who does not see our
// packets has to guess 32 bits and the source port.
type secret struct{ k0, k1 uint64 }

// newSecret takes 16 random bytes.
func newSecret(b [16]byte) secret {
	return secret{binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:])}
}

// A cookie belongs to one target, in one protocol. The source port that it
// chooses and the sequence number are of different bits.
type cookie uint64

// cookie is keyed on what both directions show: address and port of the
// target, and the protocol. The rest of the 4-tuple follows from it or is an
// address of ours that has no part in any secret.
func (s *secret) cookie(a netip.Addr, port uint16, proto uint8) cookie {
	tail := uint64(port)<<8 | uint64(proto)
	if a.Is4() {
		b := a.As4()
		return cookie(s.sum1(uint64(binary.BigEndian.Uint32(b[:]))<<32 | tail))
	}
	b := a.As16()
	return cookie(s.sum([]uint64{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]), tail}))
}

// seq is the sequence number of the SYN.
func (c cookie) seq() uint32 { return uint32(c) }

// place chooses one of n source ports.
func (c cookie) place(n int) int { return int(uint64(uint32(c>>32)) * uint64(n) >> 32) }

// id is the IPv4 identification, which nothing depends on.
func (c cookie) id() uint16 { return uint16(c>>16) ^ uint16(c>>48) }

// sum is SipHash-2-4 (Aumasson and Bernstein 2012) of whole words, each of
// which stands for its eight bytes in little-endian order.
func (s *secret) sum(words []uint64) uint64 {
	v0, v1, v2, v3 := s.start()
	for _, m := range words {
		v0, v1, v2, v3 = take(v0, v1, v2, v3, m)
	}
	return finish(v0, v1, v2, v3, uint64(len(words)*8)<<56)
}

// sum1 is sum of one word.
func (s *secret) sum1(m uint64) uint64 {
	v0, v1, v2, v3 := s.start()
	v3 ^= m
	v0, v1, v2, v3 = round(v0, v1, v2, v3)
	v0, v1, v2, v3 = round(v0, v1, v2, v3)
	v0 ^= m
	return finish(v0, v1, v2, v3, 8<<56)
}

// start gives the state of SipHash before the first word. The functions below
// take it in four variables, as it stays in registers so.
func (s *secret) start() (v0, v1, v2, v3 uint64) {
	return s.k0 ^ 0x736f6d6570736575, s.k1 ^ 0x646f72616e646f6d,
		s.k0 ^ 0x6c7967656e657261, s.k1 ^ 0x7465646279746573
}

func take(v0, v1, v2, v3, m uint64) (uint64, uint64, uint64, uint64) {
	v3 ^= m
	v0, v1, v2, v3 = round(v0, v1, v2, v3)
	v0, v1, v2, v3 = round(v0, v1, v2, v3)
	return v0 ^ m, v1, v2, v3
}

func finish(v0, v1, v2, v3, last uint64) uint64 {
	v3 ^= last
	v0, v1, v2, v3 = round(v0, v1, v2, v3)
	v0, v1, v2, v3 = round(v0, v1, v2, v3)
	v0 ^= last
	v2 ^= 0xff
	v0, v1, v2, v3 = round(v0, v1, v2, v3)
	v0, v1, v2, v3 = round(v0, v1, v2, v3)
	v0, v1, v2, v3 = round(v0, v1, v2, v3)
	v0, v1, v2, v3 = round(v0, v1, v2, v3)
	return v0 ^ v1 ^ v2 ^ v3
}

func round(v0, v1, v2, v3 uint64) (uint64, uint64, uint64, uint64) {
	v0 += v1
	v2 += v3
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v0 = bits.RotateLeft64(v0, 32)
	v2 += v1
	v0 += v3
	v1 = bits.RotateLeft64(v1, 17) ^ v2
	v3 = bits.RotateLeft64(v3, 21) ^ v0
	return v0, v1, bits.RotateLeft64(v2, 32), v3
}
