package engine

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// controlMessage is one control message of an error queue.
func controlMessage(level, kind int32, errno uint32, origin byte) []byte {
	b := make([]byte, unix.CmsgSpace(extSize))
	h := unix.Cmsghdr{Level: level, Type: kind}
	h.SetLen(unix.CmsgLen(extSize))
	if unix.SizeofCmsghdr == 16 {
		binary.NativeEndian.PutUint64(b, uint64(h.Len)) //nolint:unconvert // 32 bits wide on others
	} else {
		binary.NativeEndian.PutUint32(b, uint32(h.Len))
	}
	off := unix.SizeofCmsghdr - 8
	binary.NativeEndian.PutUint32(b[off:], uint32(level))
	binary.NativeEndian.PutUint32(b[off+4:], uint32(kind))
	data := b[unix.CmsgLen(0):]
	binary.NativeEndian.PutUint32(data[extErrno:], errno)
	data[extOrigin] = origin
	return b
}

func TestICMPError(t *testing.T) {
	icmp4 := controlMessage(unix.IPPROTO_IP, unix.IP_RECVERR, uint32(unix.EHOSTUNREACH), unix.SO_EE_ORIGIN_ICMP)
	icmp6 := controlMessage(unix.IPPROTO_IPV6, unix.IPV6_RECVERR, uint32(unix.ECONNREFUSED), unix.SO_EE_ORIGIN_ICMP6)
	local := controlMessage(unix.IPPROTO_IP, unix.IP_RECVERR, uint32(unix.EMSGSIZE), unix.SO_EE_ORIGIN_LOCAL)
	other := controlMessage(unix.SOL_SOCKET, unix.SO_TIMESTAMP, 1, unix.SO_EE_ORIGIN_ICMP)
	for _, c := range []struct {
		name string
		oob  []byte
		want unix.Errno
	}{
		{"IPv4", icmp4, unix.EHOSTUNREACH},
		{"IPv6", icmp6, unix.ECONNREFUSED},
		{"after another message", append(other, icmp4...), unix.EHOSTUNREACH},
		{"of this machine", local, 0},
		{"none", nil, 0},
		{"cut short", icmp4[:len(icmp4)-9], 0},
	} {
		got, ok := icmpError(c.oob)
		if ok != (c.want != 0) || ok && got.errno != c.want {
			t.Errorf("%s: %v, %v; want %v", c.name, got.errno, ok, c.want)
		}
	}
}

func FuzzICMPError(f *testing.F) {
	f.Add(controlMessage(unix.IPPROTO_IP, unix.IP_RECVERR, uint32(unix.EHOSTUNREACH), unix.SO_EE_ORIGIN_ICMP))
	f.Add(controlMessage(unix.IPPROTO_IPV6, unix.IPV6_RECVERR, uint32(unix.ECONNREFUSED), unix.SO_EE_ORIGIN_ICMP6))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, oob []byte) {
		if got, ok := icmpError(oob); ok && got.errno == 0 {
			t.Error("an error that is none")
		}
	})
}
