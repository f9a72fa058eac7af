package sweep

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"sonde/capture"
	"sonde/capture/frame"
	"sonde/capture/link"
)

// A run is one sweep.
type run struct {
	s     *Sweeper
	plan  capture.Plan
	order capture.Order
	n     uint64 // targets of the plan
	proto uint8  // frame.ProtoTCP or ProtoUDP
	in    *inbox
	win   window
	began time.Time

	// bodies are the datagrams of each port, and most how many a port has.
	// Both are immutable; TCP has one without any.
	bodies map[uint16][][]byte
	most   int

	sent, received, spoofed, resets, dropped uint64 // of the Sweeper when it began

	// turns are the sender's, and its emitters'.
	turns [1 + emittersMost]link.Turn

	// Counted by the sender and the receivers.
	tries, asked, validated, duplicates, repeated atomic.Uint64
	degraded                                      atomic.Bool

	stats capture.Stats // what was told; the caller's
	ended time.Time
}

// notTried begins the reason of a reply about what never left this machine, as
// in package capture.
const notTried = "not-tried"

func (s *Sweeper) newRun(p capture.Plan) (*run, error) {
	n, err := p.Len()
	if err != nil {
		return nil, err
	}
	order, err := p.Order()
	if err != nil {
		return nil, err
	}
	r := &run{s: s, plan: p, order: order, n: n, proto: frame.ProtoTCP, in: newInbox(),
		most: 1, began: time.Now()}
	if p.Network == capture.UDP {
		r.proto = frame.ProtoUDP
		r.load()
	} else if p.Network != capture.TCP {
		return nil, fmt.Errorf("network %q", p.Network)
	}
	r.win.from, r.win.size = min(p.From, n), chunkSize(s.cfg.Pace)
	return r, nil
}

// load asks for the payloads of the plan's ports. Each needs a source port of
// its own.
func (r *run) load() {
	r.bodies = make(map[uint16][][]byte, len(r.plan.Ports))
	for _, port := range r.plan.Ports {
		var list [][]byte
		if r.s.cfg.Payloads != nil {
			list = r.s.cfg.Payloads(port)
		}
		if len(list) == 0 {
			list = [][]byte{nil}
		}
		if ports := len(r.s.judge.ports); len(list) > ports {
			r.s.cfg.Log.Warn("more payloads than source ports, the last are not sent", "port", port,
				"payloads", len(list), "source_ports", ports)
			list = list[:ports]
		}
		r.bodies[port] = list
		r.most = max(r.most, len(list))
	}
}

// busy is how long the sender, or an emitter, has been at one thing.
func (r *run) busy() (most time.Duration) {
	for i := range r.turns {
		most = max(most, r.turns[i].Busy())
	}
	return most
}

// tellEvery is how long answers wait for others, so that they are handed over
// together: 400 at 200,000 per second.
const tellEvery = 2 * time.Millisecond

// rounds is how many rounds a chunk goes through.
func (r *run) rounds() int { return r.s.cfg.Tries * r.most }

// run sends in a goroutine of its own and tells in the caller's.
func (r *run) run(ctx context.Context, yield func(capture.Reply)) error {
	t := r.s.Totals()
	r.sent, r.resets, r.received, r.spoofed, r.dropped = t.Sent, t.Resets, t.Received, t.Spoofed, t.Dropped
	done := make(chan error, 1)
	r.s.tasks.Go(func() { done <- newSender(r).loop(ctx) })
	defer func() { r.ended = time.Now() }()
	var err error
	for sending := true; sending; {
		select {
		case <-r.in.wake:
			// A moment's worth at once: waking up costs more than an answer.
			r.in.gather(ctx, tellEvery)
			r.tell(yield)
		case err = <-done:
			sending = false
		case <-ctx.Done():
			r.in.close() // the sender may wait for room
			if err := <-done; err != nil {
				return err
			}
			return ctx.Err()
		}
	}
	if err == nil {
		r.tell(yield)
	}
	r.in.close() // a run that lingers needs none
	return err
}

// tell hands over what waits.
func (r *run) tell(yield func(capture.Reply)) {
	for list := r.in.take(); len(list) > 0; list = r.in.take() {
		for i := range list {
			x := &list[i]
			if x.mark {
				if r.plan.Checkpoint != nil && !r.stats.Degraded && !r.degraded.Load() {
					r.plan.Checkpoint(x.pos)
				}
				continue
			}
			r.tally(&x.Reply)
			yield(x.Reply)
		}
	}
}

func (r *run) tally(x *capture.Reply) {
	switch x.Kind {
	case capture.Accepted:
		r.stats.Accepted++
	case capture.Answered:
		r.stats.Answered++
	case capture.Refused:
		r.stats.Refused++
	case capture.Unreachable:
		r.stats.Unreachable++
		if strings.HasPrefix(x.Reason, notTried) {
			r.stats.NotTried++
			r.stats.Degraded = true
		}
	case capture.Silent:
	}
}

// result gives the statistics. What was not told of the targets was silent,
// unless the run was cut short. Packets that answer nothing count for all runs
// that are under way, as do those that were dropped.
func (r *run) result() capture.Stats {
	s, t := r.stats, r.s.Totals()
	s.Targets = r.asked.Load()
	s.Tries = r.tries.Load()
	if told := s.Accepted + s.Answered + s.Refused + s.Unreachable; s.Targets > told {
		s.Silent = s.Targets - told
	}
	s.Degraded = s.Degraded || r.degraded.Load()
	s.Packets = capture.Packets{
		Sent: s.Tries, Resets: t.Resets - r.resets, Received: t.Received - r.received,
		Validated: r.validated.Load(),
		Spoofed:   t.Spoofed - r.spoofed, Duplicates: r.duplicates.Load(),
		Dropped: t.Dropped - min(t.Dropped, r.dropped) + r.in.losses(), Repeated: r.repeated.Load(),
	}
	s.Sent += s.Resets
	if d := r.ended.Sub(r.began).Seconds(); d > 0 {
		s.Rate = float64(s.Sent) / d
	}
	return s
}

// answered takes an answer if its target is in the plan.
func (r *run) answered(a *answer, p *frame.Packet, at time.Time) (verdict, bool) {
	rank, ok := r.order.Rank(a.addr, a.port)
	if !ok && a.addr.Zone() != "" {
		a.addr = a.addr.WithZone("")
		rank, ok = r.order.Rank(a.addr, a.port)
	}
	if !ok {
		return 0, false
	}
	x := capture.Reply{Addr: netip.AddrPortFrom(a.addr, a.port), Network: r.plan.Network,
		Kind: a.kind, Reason: a.reason, At: at}
	if r.proto == frame.ProtoUDP {
		bodies := r.bodies[a.port]
		if a.offset >= len(bodies) {
			return 0, false // nothing was sent from that port
		}
		if a.kind == capture.Answered {
			x.Payload, x.Sent = slices.Clone(p.Payload), bodies[a.offset]
		}
	}
	v := r.in.answer(&r.win, r.order.Place(rank), &x)
	switch v {
	case fresh:
		r.validated.Add(1)
	case duplicate:
		r.duplicates.Add(1)
	case late, noRoom: // counted as silent, and as lost
	}
	return v, true
}

// The end of time, for what has no time of its own.
var never = time.Unix(math.MaxInt32, 0).AddDate(100, 0, 0)
