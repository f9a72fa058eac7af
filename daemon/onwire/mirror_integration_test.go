//go:build integration && linux

package onwire

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sonde/capture/capturetest"
	"sonde/daemon/internal/event"
)

// mirrored is one packet of TCP between two strangers, as a mirror port shows it:
// with a tag of VLAN 7, and to a MAC address that is not ours.
func mirrored(src, dst netip.AddrPort, flags byte, seq, ack uint32) []byte {
	b := []byte{2, 0, 0, 0, 0, 8, 2, 0, 0, 0, 0, 9, 0x81, 0, 0, 7, 8, 0,
		0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0}
	b = append(append(b, src.Addr().AsSlice()...), dst.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, src.Port()), dst.Port())
	b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, seq), ack)
	return append(b, 5<<4, flags, 4, 0, 0, 0, 0, 0)
}

// inject sends frames from an interface as they are.
func inject(t *testing.T, from capturetest.Port, frames ...[]byte) {
	t.Helper()
	from.In.Do(t, func() error {
		i, err := net.InterfaceByName(from.Name)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for _, f := range frames {
			if err := unix.Sendto(fd, f, 0, &unix.SockaddrLinklayer{Ifindex: i.Index}); err != nil {
				return err
			}
		}
		return nil
	})
}

// TestMirrorPort: a service that answers somebody else is seen on a mirror port,
// whatever tags and MAC addresses the frames have, and asked at once.
func TestMirrorPort(t *testing.T) {
	p := ground(t)
	span, mirror := capturetest.Port{In: p.Sensor, Name: "span"}, capturetest.Port{In: p.Target, Name: "mirror"}
	capturetest.Veth(t, span, mirror)
	d := start(t, p.Sensor, watch+"[passive]\ninterfaces = ['span']\n")
	baselined(t, d)
	d.until(t, "promiscuous mode", func() bool {
		text := p.Sensor.IP(t, "-d", "link", "show", "span")
		return strings.Contains(text, "promiscuity") && !strings.Contains(text, "promiscuity 0")
	})

	server, client := netip.MustParseAddrPort("198.18.0.7:2222"), netip.MustParseAddrPort("198.18.99.1:50000")
	serve(t, p.Target, server.String(), ssh)
	began := time.Now()
	inject(t, mirror, mirrored(client, server, 2, 100, 0), mirrored(server, client, 18, 900, 101))
	d.await(t, "service.new", func(e *event.Event) bool {
		return e.Action == event.ServiceNew && endpointOf(e) == server
	})
	t.Logf("from the mirror to service.new: %v", time.Since(began).Round(time.Millisecond))
	if n := strings.Count(d.log.String(), "sweep complete"); n != 2 {
		t.Errorf("%d sweeps", n) // of TCP and of UDP
	}
}
