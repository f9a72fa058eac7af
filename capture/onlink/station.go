package onlink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"sonde/capture/frame"
	"sonde/capture/link"
	"sonde/capture/route"
)

// A station is one open interface.
type station struct {
	link   route.Interface
	medium frame.Medium
	port   Port

	mu   sync.Mutex // guards what follows, and sending
	buf  [frame.MaxHeaders + 64]byte
	arp  map[netip.Addr]*frame.ARP // by our address
	nd   map[netip.Addr]*frame.Solicit
	echo map[netip.Addr]*frame.Echo
}

// maxTemplates bounds the templates of a station: one for each of our addresses
// that the kernel chose as a source. Beyond, they are built anew.
const maxTemplates = 256

func newStation(l route.Interface, port Port) *station {
	s := &station{link: l, port: port, medium: frame.IP, arp: map[netip.Addr]*frame.ARP{},
		nd: map[netip.Addr]*frame.Solicit{}, echo: map[netip.Addr]*frame.Echo{}}
	if l.Medium == route.Ethernet {
		s.medium = frame.Ethernet
	}
	return s
}

// template gives what was built for src, or builds it.
func template[T any](all map[netip.Addr]*T, src netip.Addr, build func() (*T, error)) (*T, error) {
	if t := all[src]; t != nil {
		return t, nil
	}
	t, err := build()
	if err != nil {
		return nil, err
	}
	if len(all) >= maxTemplates {
		clear(all)
	}
	all[src] = t
	return t, nil
}

// ask sends one ARP request or neighbour solicitation. It goes to mac: to
// everybody if that is zero, and for IPv6 always to the group of target.
func (s *station) ask(src, target netip.Addr, mac [6]byte) error {
	if s.medium != frame.Ethernet {
		return ErrMedium
	}
	if mac == ([6]byte{}) {
		mac = frame.Broadcast
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	path := frame.Path{Medium: s.medium, Src: s.link.MAC, Dst: mac}
	var n int
	if target.Is4() {
		t, err := template(s.arp, src, func() (*frame.ARP, error) { return frame.NewARP(src) })
		if err != nil {
			return err
		}
		n = t.Put(s.buf[:], &path, target)
	} else {
		t, err := template(s.nd, src, func() (*frame.Solicit, error) { return frame.NewSolicit(src) })
		if err != nil {
			return err
		}
		n = t.Put(s.buf[:], &path, target.WithZone(""))
	}
	return s.put(n)
}

// echoBody is what our echo requests carry: as much as the least that ping(8)
// sends, as some firewalls drop empty ones.
var echoBody = []byte("\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17")

// ping sends one echo request.
func (s *station) ping(src, target netip.Addr, mac [6]byte, identity uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := template(s.echo, src, func() (*frame.Echo, error) { return frame.NewEcho(src, echoBody) })
	if err != nil {
		return err
	}
	path := frame.Path{Medium: s.medium, Src: s.link.MAC, Dst: mac}
	return s.put(t.Put(s.buf[:], &path, target.WithZone(""), uint16(identity>>16), uint16(identity), uint16(identity)))
}

// put sends what stands in the buffer; mu is held.
func (s *station) put(n int) error {
	if n == 0 {
		return fmt.Errorf("build frame for %s: no room or wrong address family", s.link.Name)
	}
	_, err := s.port.Send([][]byte{s.buf[:n]})
	return err
}

// lossPause lies between two tries of an interface that is lost.
const lossPause = 200 * time.Millisecond

// transmit sends by the interface that leads to target now, through its loss
// and return, for as long as Patience says.
func (f *Finder) transmit(ctx context.Context, stats *Stats, target netip.Addr, via string,
	send func(s *station, h route.Hop) error) error {
	return f.persist(ctx, stats, func() (*station, error) {
		h, err := f.cfg.Routes.Hop(target, via)
		if err != nil {
			return nil, err
		}
		s, err := f.station(h.Link)
		if err == nil {
			err = send(s, h)
		}
		return s, err
	})
}

// persist sends one packet, again and again while the interface is lost.
func (f *Finder) persist(ctx context.Context, stats *Stats, send func() (*station, error)) error {
	var began time.Time
	for {
		s, err := send()
		switch {
		case err == nil:
			stats.Sent++
			return nil
		case s != nil && !errors.Is(err, link.ErrBusy) && !errors.Is(err, ErrUnresolved):
			f.lost(s)
		}
		switch now := time.Now(); {
		case f.isClosed():
			return net.ErrClosed
		case errors.Is(err, link.ErrNoPermission) || errors.Is(err, ErrMedium) || errors.Is(err, ErrUnresolved):
			return err
		case began.IsZero():
			began = now
			stats.Lost++
		case now.Sub(began) >= f.cfg.Patience:
			return err
		}
		if err := sleep(ctx, lossPause); err != nil {
			return err
		}
	}
}

// sleep waits, or gives the error of a context that ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// answerOf gives whose address a packet proves alive: an ARP reply or a
// neighbour advertisement that was sent to us.
func answerOf(s *station, p *frame.Packet) (a netip.Addr, mac [6]byte, ok bool) {
	switch {
	case p.ARP.Op == 2 && p.DstMAC == s.link.MAC:
		a, mac = p.ARP.Sender, p.ARP.SenderMAC
	case p.ND.Valid && p.Type == frame.ICMPv6NeighborAdvertisement && p.ND.Solicited:
		a, mac = p.ND.Target, p.SrcMAC
		if p.ND.HasLink {
			mac = p.ND.LinkAddr
		}
	}
	return a, mac, a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() &&
		mac != s.link.MAC && isStation(mac)
}

// isStation says whether a MAC address can be one machine's.
func isStation(mac [6]byte) bool { return mac[0]&1 == 0 && mac != [6]byte{} }
