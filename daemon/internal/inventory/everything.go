package inventory

import (
	"hash/fnv"
	"io"
	"net/netip"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// shapeOf is the same for endpoints that answer alike, whatever their port: by
// the same service, or all by nothing, however the conversation ended. It is
// never 0.
func shapeOf(e *Endpoint) int64 {
	o := &e.Current
	if e.Pending != nil && e.Status == Candidate {
		o = &e.Pending.Candidate
	}
	h := fnv.New64a()
	text := "mute"
	if rank(o.Strength) > 0 {
		text = "says " + o.Service + "/" + string(o.Tunnel) + "/" + o.Product + "/" + o.Version
	}
	_, _ = io.WriteString(h, text)
	return int64(h.Sum64()>>1) + 1
}

// crowded judges an endpoint that is about to be told, in the light of how many
// of its host answer alike: a tarpit, a SYN proxy, a captive portal. While a
// sweep has found so many that it may be one, nothing of them is told.
func (tx *transaction) crowded(id int64, h *Host, e *Endpoint, v *Visit, r Rules) (held bool, err error) {
	shape := shapeOf(e)
	if h.Everything == shape {
		return true, nil
	}
	var alike int
	err = tx.stmts.alikeEndpoints.QueryRowContext(tx.ctx, h.ID.Zone, h.ID.Addr.String(), shape, id).Scan(&alike)
	if err != nil {
		return false, err
	}
	if alike+1 <= r.AlikeEndpoints { // with this one
		return v.Crowd+alike > r.AlikeEndpoints, nil
	}
	h.Everything = shape
	ev := tx.hostEvent(event.HostAnswersEverything, h, v)
	ev.Counts = map[string]int{"endpoints": alike + 1}
	return true, tx.tellHost(&ev)
}

// thins tells that a host no longer answers everything, once so few of its
// endpoints answer alike.
func (tx *transaction) thins(h *Host, v *Visit, r Rules) error {
	if h.Everything == 0 {
		return nil
	}
	var alike int
	err := tx.stmts.alikeEndpoints.QueryRowContext(tx.ctx, h.ID.Zone, h.ID.Addr.String(), h.Everything, 0).Scan(&alike)
	if err != nil || alike > r.AlikeEndpoints {
		return err
	}
	h.Everything = 0
	ev := tx.hostEvent(event.HostRecovered, h, v)
	ev.Reason = ReasonEverything
	return tx.tellHost(&ev)
}

// ReasonEverything is the reason of a host.recovered that ends a
// host.answers_everything.
const ReasonEverything = "answers_everything"

// hostEvent begins an event about a host.
func (tx *transaction) hostEvent(a event.Action, h *Host, v *Visit) event.Event {
	return event.Event{
		Action: a, Severity: event.SeverityOf(a, ""), Cause: event.CauseTarget,
		CorrelationID: h.ID.CorrelationID(), ObservedAt: v.At.UTC(),
		Watch: v.Watch, Zone: h.ID.Zone, VLAN: v.VLAN, MAC: h.MAC,
		FirstSeen: h.FirstSeen.UTC(), LastSeen: h.Alive.UTC(),
		Endpoint: &probes.Observation{Addr: h.address()},
	}
}

// address is where the machine was that the host stands for.
func (h *Host) address() netip.Addr {
	if h.Origin.IsValid() {
		return h.Origin
	}
	return h.ID.Addr
}

func (tx *transaction) tellHost(ev *event.Event) error {
	ev.Message = message(ev)
	return tx.emit(ev, 0)
}
