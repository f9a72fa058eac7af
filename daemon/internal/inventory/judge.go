package inventory

import (
	"fmt"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// meet takes what the visit says about its host, before its endpoint is
// judged: is it another machine, was it gone, is it missing.
func (tx *transaction) meet(h Host, v *Visit, r Rules) (Host, HostVerdict, error) {
	other, trace, err := tx.knownAt(h, v)
	if err != nil {
		return h, HostVerdict{}, err
	}
	h, moved := DecideMove(h, other, trace, *v, r)
	if moved {
		if h, err = tx.move(h, *other, v); err != nil {
			return h, HostVerdict{}, err
		}
	}
	if from, arrived := h.arrive(v); arrived {
		if err := tx.tellMoved(&h, from, &Move{MAC: v.MAC}, v); err != nil {
			return h, HostVerdict{}, err
		}
	}
	if h.Move != nil && other != nil && h.Move.Seen.Count <= triesEach {
		err = tx.doubt(other.ID)
	} else if moved {
		err = tx.doubt(h.ID)
	}
	if err != nil {
		return h, HostVerdict{}, err
	}
	if signOfLife(v) == silent && h.Status == Present && h.MAC == "" {
		if v.Keyed, err = tx.keyed(h.ID); err != nil {
			return h, HostVerdict{}, err
		}
	}
	missing := h.Missed.Count > 0
	now, verdict := DecideHost(h, *v, r)
	if verdict.Gone && h.mayMove(v) && !v.Late {
		if v.Late, err = tx.elsewhere(&h); err != nil {
			return h, HostVerdict{}, err
		}
		now, verdict = DecideHost(h, *v, r)
	}
	wasMissing := missing && now.Missed.Count == 0 && now.Status == Present
	if !verdict.Gone && !wasMissing {
		if signOfLife(v) == silent { // its services are as missing as many others
			m, err := tx.mass(v.Watch, signMissing)
			v.Held = m != nil
			return now, verdict, err
		}
		return now, verdict, nil
	}
	if err := tx.saveHost(now); err != nil { // so that it is counted as it is now
		return now, verdict, err
	}
	held, err := tx.massive(v, signMissing, r, verdict.Gone)
	if err == nil && held && verdict.Gone {
		v.Held = true
		now, verdict = DecideHost(h, *v, r)
	}
	return now, verdict, err
}

// massive judges a sign that many hosts of the watch may show, and tells whether
// what has it is held back. Only something that is about to be told may begin
// a mass.
func (tx *transaction) massive(v *Visit, sign string, r Rules, begins bool) (held bool, err error) {
	was, err := tx.mass(v.Watch, sign)
	if err != nil || was == nil && !begins {
		return false, err
	}
	w, err := tx.window(v.Watch, sign, v, r)
	if err != nil {
		return false, err
	}
	if sign == signMissing && begins {
		w.Alike, w.Known = w.Alike+1, w.Known+1 // it is saved as gone already
	}
	now, tell, held := DecideMass(was, sign, w, r)
	held = held || tell == event.WatchRecovered // judged again from now on
	if err := tx.saveMass(v.Watch, sign, was, now); err != nil || tell == "" {
		return held, err
	}
	if tell == event.WatchRecovered {
		if err := tx.missAnew(v.Watch, v.At); err != nil {
			return held, err
		}
	}
	return held, tx.tellMass(v, tell, sign, w)
}

func (tx *transaction) tellMass(v *Visit, a event.Action, sign string, w Window) error {
	ev := event.Event{Action: a, Severity: event.SeverityOf(a, ""), Cause: event.CauseTarget, Watch: v.Watch,
		Zone: v.Key.Zone, ObservedAt: v.At.UTC(), Counts: map[string]int{"known": w.Known, "hosts": w.Alike}}
	switch a {
	case event.WatchUnreachable:
		ev.Cause = event.CausePath
		ev.Message = fmt.Sprintf("watch %s: %d of %d hosts show no sign of life; what is gone is told when it is clear",
			v.Watch, w.Alike, w.Known)
	case event.WatchRecovered:
		ev.Cause = event.CausePath
		ev.Reason = ReasonUnreachable
		ev.Message = fmt.Sprintf("watch %s: its hosts are there again, %d of %d are missing", v.Watch, w.Alike, w.Known)
	default:
		ev.Reason = cleanString(sign, maxName)
		ev.Message = fmt.Sprintf("watch %s: alike on %d of %d hosts: %s", v.Watch, w.Alike, w.Known, sign)
	}
	hosts, err := tx.signedHosts(v.Watch, sign)
	if err != nil {
		return err
	}
	if a != event.WatchRecovered {
		ev.Hosts = hosts
	}
	ev.Message = cleanString(ev.Message, maxMessage)
	return tx.emit(&ev, 0)
}

// ReasonUnreachable is the reason of a watch.recovered that ends a
// watch.unreachable.
const ReasonUnreachable = "unreachable"

// signedHosts names some hosts that show a sign.
func (tx *transaction) signedHosts(watch, sign string) (list []string, err error) {
	text := `select addr from machines where watch = ?1 and status = 'present' and missed > 0 order by addr limit ?3`
	if sign != signMissing {
		text = `select distinct addr from likeness where watch = ?1 and sign = ?2 order by addr limit ?3`
	}
	rows, err := tx.conn.QueryContext(tx.ctx, text, watch, sign, event.MaxHosts)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var addr string
		if err := rows.Scan(&addr); err != nil {
			return nil, err
		}
		list = append(list, addr)
	}
	return list, rows.Err()
}

// decide judges the endpoint. What would be told of it while too many others
// look alike is held back: the same visit is judged again with that known.
func (tx *transaction) decide(id int64, old *Endpoint, h *Host, v Visit, r Rules) (Endpoint, []event.Event, error) {
	now, events := Decide(old, v, r)
	if v.Held || len(events) == 0 {
		return now, events, nil
	}
	held, err := tx.holds(id, old, &now, events, h, &v, r)
	if err != nil || !held {
		return now, events, err
	}
	v.Held = true
	now, events = Decide(old, v, r)
	if h.Everything != 0 && h.Everything == shapeOf(&now) {
		events = nil
	}
	return now, events, nil
}

// holds tells whether what is about to be told of an endpoint is held back.
func (tx *transaction) holds(id int64, old, now *Endpoint, events []event.Event, h *Host,
	v *Visit, r Rules) (bool, error) {
	if h.Move != nil {
		return true, nil
	}
	appears := old == nil || old.Status == Candidate || old.Status == Gone
	if now.Status == Present && appears || h.Everything != 0 {
		if held, err := tx.crowded(id, h, now, v, r); err != nil || held {
			return held, err
		}
	}
	if concludes(events) == "" || old == nil {
		return false, nil
	}
	// The sign is that of the state before it is told.
	held := *v
	held.Held = true
	before, _ := Decide(old, held, r)
	sign := signOf(&before)
	if sign == "" {
		return false, nil
	}
	return tx.massive(v, sign, r, true)
}

// follow tells what the visit changed about its host, after its endpoint was
// judged: events of the endpoint come behind those of its host.
func (tx *transaction) follow(h Host, verdict HostVerdict, e *Endpoint, events []event.Event, v *Visit) (Host, error) {
	if h.Status == Unknown && e.Status == Present && !e.Retired {
		h.Status, h.Watch, h.FirstSeen = Present, v.Watch, v.At
		if concludes(events) == event.ServiceNew {
			alias, err := tx.alias(&h, v)
			if err != nil || alias {
				return h, err
			}
			ev := tx.hostEvent(event.HostNew, &h, v)
			ev.AbsentAt = e.AbsentAt.UTC()
			return h, tx.tellHost(&ev)
		}
	}
	if h.Status == Present && e.Watch != "" {
		h.Watch = e.Watch
	}
	if verdict.Returned {
		ev := tx.hostEvent(event.HostReturned, &h, v)
		return h, tx.tellWithServices(&ev, &h)
	}
	return h, nil
}

// leave tells that a host is gone, and lets its endpoints go with it.
func (tx *transaction) leave(h *Host, v *Visit, quiet bool) error {
	alias, err := tx.alias(h, v)
	if err != nil {
		return err
	}
	if !alias && !quiet {
		ev := tx.hostEvent(event.HostGone, h, v)
		ev.Confirmations = h.Missed.Count
		if err := tx.tellWithServices(&ev, h); err != nil {
			return err
		}
	}
	for _, text := range []string{
		`update endpoints set status = 'away', next_at = 0, next_why = '' where zone = ? and addr = ? and status = 'present' and retired = 0`,
		`delete from endpoints where zone = ? and addr = ? and status = 'candidate'`,
	} {
		if _, err := tx.conn.ExecContext(tx.ctx, text, h.ID.Zone, h.ID.Addr.String()); err != nil {
			return err
		}
	}
	return nil
}

// alias tells whether an IPv6 address is one of several of a machine that is
// there: they come and go by themselves.
func (tx *transaction) alias(h *Host, v *Visit) (bool, error) {
	if h.MAC == "" || !h.ID.Addr.Is6() {
		return false, nil
	}
	var n int
	err := tx.conn.QueryRowContext(tx.ctx, `select count(*) from machines m join hosts a using (zone, addr)
		where m.zone = ? and m.mac = ? and m.addr <> ? and m.addr like '%:%' and m.status = 'present' and a.alive >= ?`,
		h.ID.Zone, h.MAC, h.ID.Addr.String(), nanos(v.At.Add(-tx.rulesOf(v.Watch).GoneAfter))).Scan(&n)
	return n > 0, err
}

// tellWithServices adds the services of the host, and tells the event.
func (tx *transaction) tellWithServices(ev *event.Event, h *Host) error {
	rows, err := tx.conn.QueryContext(tx.ctx, `select transport, port, service, product from endpoints
		where zone = ? and addr = ? and status in ('present', 'away') and retired = 0 order by transport, port`,
		h.ID.Zone, h.ID.Addr.String())
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var s event.Service
		var t string
		if err := rows.Scan(&t, &s.Port, &s.Service, &s.Product); err != nil {
			return err
		}
		s.Transport = probes.Transport(t)
		if ev.ServicesCount++; len(ev.Services) < event.MaxServices {
			ev.Services = append(ev.Services, s)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return tx.tellHost(ev)
}
