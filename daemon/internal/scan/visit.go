package scan

import (
	"net/netip"

	"sonde/capture"
	"sonde/daemon/internal/fragile"
	"sonde/probes"
	"sonde/probes/session"
)

// A Visitor asks one endpoint what runs there. It calls done once, from any
// goroutine, perhaps before Begin returns; done does not block. Cancel ends the
// visit soon, and may be called after done.
type Visitor interface {
	Begin(ep probes.Endpoint, known session.Remembered, done func(probes.Observation)) (cancel func(reason error))
}

// A flight is one conversation.
type flight struct {
	reply    capture.Reply
	cancel   func(reason error)
	recalled bool                // to be made anew with more care
	seen     *probes.Observation // nil until it is over
}

// visit begins to ask what runs at an open port. The caller holds a slot.
func (p *pass) visit(r capture.Reply) {
	ep := probes.Endpoint{Addr: r.Addr.Addr(), Port: r.Addr.Port(),
		Transport: probes.Transport(r.Network)}
	if p.Names != nil {
		ep.Names = p.Names(ep.Addr)
	}
	f := &flight{reply: r}
	p.visits.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	who := p.Visitor
	if p.at(ep.Addr).frail {
		who = p.Careful
	}
	p.air[f] = struct{}{}
	var known session.Remembered
	if r.Kind == capture.Answered {
		known.Heard = &session.Heard{Sent: r.Sent, Answer: r.Payload, At: r.At}
	}
	f.cancel = who.Begin(ep, known, func(o probes.Observation) {
		f.seen = &o
		p.results <- f
	})
	if p.ended != nil {
		f.cancel(p.ended)
	}
}

// cancel ends all conversations, and those to come.
func (p *pass) cancel(reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = reason
	for f := range p.air {
		f.cancel(reason)
	}
}

// land takes the result of a conversation. One that was cut short is listed as
// open, and not told as identified; one that was recalled is made anew, unless
// it has its identity.
func (p *pass) land(f *flight) {
	defer p.visits.Done()
	p.mu.Lock()
	delete(p.air, f)
	whole := p.ended == nil
	p.mu.Unlock()
	if whole && f.recalled && f.seen.Strength != probes.Hard {
		p.visit(f.reply)
		return
	}
	if p.Complete != nil {
		p.Complete(f.seen)
	}
	if f.seen.State != probes.Open {
		// It was open a moment ago: that is what a scan tells.
		f.seen.State, f.seen.Reason = probes.Open, f.reply.Reason
	}
	p.add(*f.seen)
	<-p.slots
	if p.Careful != nil && fragile.Host(f.seen) {
		p.recall(f.reply.Addr.Addr())
	}
	if !whole {
		return
	}
	p.progress.Visits.Add(1)
	if p.Found != nil {
		p.Found(*f.seen)
	}
}

// recall has a host asked with care from now on. What is said to it is ended, to
// be made anew.
func (p *pass) recall(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.at(a)
	if h.frail {
		return
	}
	h.frail = true
	if p.CarefulHost != nil {
		p.CarefulHost(a)
	}
	for f := range p.air {
		if f.reply.Addr.Addr() == a {
			f.recalled = true
			f.cancel(fragile.ErrRecalled)
		}
	}
}

// add keeps an open port.
func (p *pass) add(obs probes.Observation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.at(obs.Addr)
	h.ports = append(h.ports, obs)
}
