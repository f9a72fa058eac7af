package capture

import (
	"context"
	"time"
)

// The reasons of replies about neighbours.
const (
	reasonNoARP = "no-arp-response"
	reasonNoND  = "no-nd-response"
)

// maxAgain is how often a try is made anew because its packets may not have
// left. The first may have waited in vain for the neighbour, the second finds
// it resolved; a third is for an entry that was dropped between.
const maxAgain = 3

// guarded makes one try, as try does, and holds its result against what became
// of the neighbour that its packets were for. The kernel drops what it cannot
// deliver and says so late, or to nobody: then a connect looks as if the target
// had been silent, which nobody asked.
func (p *prober) guarded(ctx context.Context, t Target, cost *tally) (Reply, error) {
	if p.Guard == nil {
		return p.try(ctx, t, cost)
	}
	for range maxAgain {
		pass, err := p.Guard.Enter(ctx, t.Addr.Addr())
		if err != nil {
			return Reply{}, err
		}
		r, again, err := p.pass(ctx, t, pass, cost)
		if err != nil || !again {
			return r, err
		}
	}
	return untried("neighbour was lost again and again"), nil
}

// pass makes a try with a passage, and ends it. again says that nothing is
// known but that another try may tell.
func (p *prober) pass(ctx context.Context, t Target, pass *Passage, cost *tally) (r Reply, again bool, err error) {
	answered := false
	defer func() { pass.Leave(answered) }()
	if pass.Dead() {
		return pass.absent(), false, nil
	}
	if r, err = p.try(ctx, t, cost); err != nil {
		return r, false, err
	}
	if r.Kind != Silent && (r.Kind != Unreachable || r.Reason != reasonHostUnreach) {
		answered = true
		return r, false, nil
	}
	state, err := pass.Settle(ctx)
	if ctx.Err() != nil {
		return Reply{}, false, err
	}
	if err != nil && pass.sure() {
		return r, false, nil
	}
	if err != nil {
		return untried(err.Error()), false, nil
	}
	r, again = pass.judge(r, state)
	return r, again, nil
}

// judge says what silence, or an unreachable host, means when the neighbour is
// in this state. A neighbour that had an address when the try began got its
// packets.
func (p *Passage) judge(r Reply, state Resolution) (Reply, bool) {
	switch {
	case p.sure() && (r.Kind == Silent || state != Unresolvable):
		return r, false
	case state == Unresolvable:
		return p.absent(), false
	case state == Resolved:
		return r, true // its packets may have been dropped while it was not
	case state == Unknown && r.Kind == Unreachable && p.onLink():
		return p.absent(), false // was given up, and its entry collected
	case state == Unknown:
		return r, true
	}
	return untried("neighbour " + p.hop.Addr.String() + " is still being resolved"), false
}

// sure says that the neighbour had an address when the try began.
func (p *Passage) sure() bool { return !p.held }

// onLink says that packets go to the target itself, not to a router.
func (p *Passage) onLink() bool { return p.hop.Addr == p.addr.Unmap().WithZone("") }

// absent tells that nobody has the address; or, where a router is missing, that
// the target was not asked.
func (p *Passage) absent() Reply {
	switch {
	case !p.onLink():
		return untried("router " + p.hop.Addr.String() + " is not there")
	case p.addr.Unmap().Is4():
		return Reply{Kind: Unreachable, Reason: reasonNoARP, At: time.Now()}
	}
	return Reply{Kind: Unreachable, Reason: reasonNoND, At: time.Now()}
}

func untried(why string) Reply {
	return Reply{Kind: Unreachable, Reason: notTried + ": " + why, At: time.Now()}
}
