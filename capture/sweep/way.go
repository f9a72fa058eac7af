package sweep

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"sonde/capture/frame"
	"sonde/capture/route"
)

var (
	// errSilentNeighbor is for a target on a link that does not answer ARP or
	// ND.
	errSilentNeighbor = errors.New("neighbour does not answer")

	// errNoRouter is for a next hop that does not.
	errNoRouter = errors.New("not there")

	errNoResolver = errors.New("link-layer addresses cannot be found")
)

// A way is how packets get to targets that share their first step.
type way struct {
	out  *outlet
	hop  route.Hop
	key  wayKey
	to   netip.Addr // one of the targets
	macs uint64     // the change of the neighbours that path is of
	path frame.Path
	syn  *frame.TCP
	udp  map[string]*frame.UDP // by payload
}

// datagramsMost bounds the templates of a way: more than that many different
// payloads are built again and again.
const datagramsMost = 1 << 10

// datagram gives the template of a payload.
func (w *way) datagram(payload []byte) (*frame.UDP, error) {
	if t := w.udp[string(payload)]; t != nil {
		return t, nil
	}
	t, err := frame.NewUDP(w.hop.Src, payload)
	if err != nil {
		return nil, err
	}
	if w.udp == nil || len(w.udp) >= datagramsMost {
		w.udp = map[string]*frame.UDP{}
	}
	w.udp[string(payload)] = t
	return t, nil
}

// waysMost bounds the ways that are kept, one for each pair of our address and
// a next hop.
const waysMost = 1 << 10

// ways are those that a sender has used, as of one generation of the routes.
type ways struct {
	generation uint64
	last       *way
	all        map[wayKey]*way
}

type wayKey struct {
	link int
	src  netip.Addr
	next netip.Addr // zero for neighbours, which share a way, and for this machine
}

// keyOf says which targets share a way.
func keyOf(h *route.Hop) wayKey {
	k := wayKey{link: h.Link.Index, src: h.Src}
	if !h.OnLink && !h.Local {
		k.next = h.Next
	}
	return k
}

// way finds how a probe gets to its target. For a neighbour it is valid until
// the next call.
func (s *sender) way(ctx context.Context, p *probe) (*way, error) {
	if g := s.cfg().Routes.Generation(); g != s.ways.generation {
		s.reroute(g)
	}
	var err error
	if s.hop, err = s.cfg().Routes.Hop(p.addr, s.cfg().Interface); err != nil {
		return nil, err
	}
	hop := &s.hop // not of this call, as it would be allocated
	w, err := s.wayOf(hop, p.addr)
	if err != nil || !hop.Link.Resolves() || hop.Local {
		return w, err
	}
	changes := s.run.s.macs.changes.Load() + 1 // 0 is none
	if w.macs == changes && !hop.OnLink {
		return w, nil
	}
	m, err := s.mac(ctx, hop, p.c)
	if err != nil {
		return nil, err
	}
	w.path.Dst, w.macs = m, changes
	return w, nil
}

// reroute looks at the ways that were used after the routes have changed: what
// is under way on one that does not exist any more may have gone astray.
func (s *sender) reroute(generation uint64) {
	for key, w := range s.ways.all {
		hop, err := s.cfg().Routes.Hop(w.to, s.cfg().Interface)
		if err != nil || keyOf(&hop) != key || hop.Link.MAC != w.hop.Link.MAC {
			s.run.s.disturbed.Add(1)
			delete(s.ways.all, key)
		}
	}
	s.ways.generation, s.ways.last = generation, nil
	s.changed = time.Now()
	clear(s.lost)
}

// wayOf finds the way of a hop to a target, but for the link-layer address.
func (s *sender) wayOf(hop *route.Hop, to netip.Addr) (*way, error) {
	key := keyOf(hop)
	if l := s.ways.last; l != nil && l.key == key {
		return l, nil
	}
	if w := s.ways.all[key]; w != nil {
		s.ways.last = w
		return w, nil
	}
	out, err := s.run.s.outlet(hop)
	if err != nil {
		return nil, err
	}
	w := &way{out: out, hop: *hop, key: key, to: to, path: frame.Path{Medium: out.medium, Src: hop.Link.MAC}}
	if w.syn, err = frame.NewSYN(hop.Src); err != nil {
		return nil, err
	}
	if err := out.from(hop.Src, hop.Link.MAC); err != nil {
		return nil, err
	}
	if s.ways.all == nil || len(s.ways.all) >= waysMost {
		s.ways.all = map[wayKey]*way{}
	}
	s.ways.all[key], s.ways.last = w, w
	return w, nil
}

// mac gives the link-layer address of a hop's neighbour. One that was found
// before the round of the chunk began is asked for again, together with all
// others that the round needs.
func (s *sender) mac(ctx context.Context, hop *route.Hop, c *chunk) ([6]byte, error) {
	n := neighbor{hop.Link.Index, hop.Next}
	m, ok := s.run.s.macs.get(n)
	if !ok || s.stale(&m, hop, c) {
		list := []netip.Addr{hop.Next}
		if hop.OnLink {
			list = s.neighbors(hop, c, list)
		}
		if _, err := s.resolve(ctx, hop, list); err != nil {
			return m.addr, err
		}
		m, _ = s.run.s.macs.get(n)
	}
	switch {
	case m.found:
		return m.addr, nil
	case hop.OnLink:
		return m.addr, errSilentNeighbor
	}
	s.run.s.macs.forget(n)
	return m.addr, fmt.Errorf("router %s is %w", hop.Next, errNoRouter)
}

// stale says whether a neighbour is to be asked for again. Who was not there
// stays away for the whole sweep.
func (s *sender) stale(m *mac, hop *route.Hop, c *chunk) bool {
	if m.at.Before(s.began) {
		return true
	}
	return hop.OnLink && m.found && c.round+c.repeats > 0 && m.at.Before(c.began)
}

// neighborsMost bounds what is asked for at once: all hosts of a /16.
const neighborsMost = 1 << 16

// neighbors appends the other neighbours on the hop's link that the rest of the
// chunk's round needs.
func (s *sender) neighbors(hop *route.Hop, c *chunk, list []netip.Addr) []netip.Addr {
	seen := map[netip.Addr]bool{list[0]: true}
	for i := c.seek(c.next); i < c.n && len(list) < neighborsMost; i = c.seek(i + 1) {
		a, _, _ := s.order.At(c.first + uint64(i))
		if seen[a] || s.plan.Skip != nil && s.plan.Skip(a) {
			continue
		}
		seen[a] = true
		h, err := s.cfg().Routes.Hop(a, s.cfg().Interface)
		if err != nil || !h.OnLink || h.Local || h.Link.Index != hop.Link.Index {
			continue
		}
		m, ok := s.run.s.macs.get(neighbor{h.Link.Index, h.Next})
		if !ok || s.stale(&m, &h, c) {
			list = append(list, h.Next)
		}
	}
	return list
}

// resolve asks for neighbours and notes who answered.
func (s *sender) resolve(ctx context.Context, hop *route.Hop, list []netip.Addr) (answered int, err error) {
	if s.cfg().Neighbors == nil {
		return 0, errNoResolver
	}
	if _, err := s.flush(ctx); err != nil {
		return 0, err
	}
	at := time.Now()
	found := make(map[netip.Addr]bool, len(list))
	note := func(a netip.Addr, addr [6]byte) {
		found[a] = true
		if s.run.s.macs.put(neighbor{hop.Link.Index, a}, mac{addr, true, at}, s.began) {
			s.run.s.disturbed.Add(1)
		}
	}
	s.turn().End() // it may take minutes, for a link with many
	err = s.cfg().Neighbors.Resolve(ctx, *hop, list, note)
	s.turn().Begin()
	if err != nil {
		return 0, err
	}
	for _, a := range list {
		if !found[a] {
			s.run.s.macs.put(neighbor{hop.Link.Index, a}, mac{at: at}, s.began)
		}
	}
	s.now = time.Now()
	return len(found), nil
}

// verify asks for the routers whose addresses were found before a time, so
// that one which has moved, or was not there, disturbs the rounds that went to
// its old place.
func (s *sender) verify(ctx context.Context, before time.Time) error {
	for _, w := range s.ways.all {
		if w.hop.OnLink || w.hop.Local || !w.hop.Link.Resolves() {
			continue
		}
		for {
			there, err := s.router(ctx, w, before)
			if err != nil {
				return err
			}
			if there {
				break
			}
			s.run.s.disturbed.Add(1)
			again, err := s.trouble(ctx, "router "+w.hop.Next.String())
			if err != nil {
				return err
			}
			if !again {
				s.degraded.Store(true)
				break
			}
			if s.cfg().Routes.Generation() != s.ways.generation {
				return nil // another router, perhaps
			}
		}
	}
	return nil
}

// router says whether the router of a way is there, or was not before.
func (s *sender) router(ctx context.Context, w *way, before time.Time) (there bool, err error) {
	n := neighbor{w.hop.Link.Index, w.hop.Next}
	m, ok := s.run.s.macs.get(n)
	if ok && !m.at.Before(before) {
		return true, nil
	}
	found, err := s.resolve(ctx, &w.hop, []netip.Addr{n.addr})
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	return err == nil && found > 0, nil
}
