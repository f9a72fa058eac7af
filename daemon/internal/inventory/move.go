package inventory

import (
	"database/sql"
	"net/netip"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// move lets a machine take what is known of it from its old address to the one
// of h, and tells it as one event. What was known at this address belongs to
// another machine, which is now nowhere or already seen at the old address: it
// is kept there until it is seen.
func (tx *transaction) move(h, old Host, v *Visit) (Host, error) {
	swapped := old.Move != nil && old.Move.From == h.ID.Addr && old.Move.MAC == h.MAC && h.MAC != ""
	here, there := h, old
	here.Status, here.FirstSeen, here.Watch, here.MAC = old.Status, old.FirstSeen, v.Watch, v.MAC
	here.Everything, here.Origin, here.Move = old.Everything, old.Origin, nil
	here.Missed, here.Back = Streak{}, Streak{}
	here.Status = Present
	there.Status, there.FirstSeen, there.MAC, there.Everything = h.Status, h.FirstSeen, h.MAC, h.Everything
	there.Move, there.Missed, there.Back = nil, Streak{}, Streak{}
	there.Origin = h.address()
	if swapped || h.Status == Unknown {
		there.Origin = netip.Addr{}
	}
	if err := tx.exchange(h.ID, old.ID); err != nil {
		return h, err
	}
	from := old.address()
	here.Origin = netip.Addr{}
	if err := tx.saveHost(here); err != nil {
		return h, err
	}
	if err := tx.tellMoved(&here, from, h.Move, v); err != nil {
		return h, err
	}
	if there.Status == Unknown {
		delete(tx.hosts, old.ID)
		_, err := tx.conn.ExecContext(tx.ctx, `delete from machines where zone = ? and addr = ?`,
			old.ID.Zone, old.ID.Addr.String())
		return here, err
	}
	if err := tx.saveHost(there); err != nil || !swapped {
		return here, err
	}
	return here, tx.tellMoved(&there, h.address(), old.Move, v)
}

// arrive notes that the machine whose address another one took is seen where it
// is kept since, and tells where it had been. That another one took its address
// was confirmed before.
func (h *Host) arrive(v *Visit) (from netip.Addr, is bool) {
	if !h.Origin.IsValid() || h.Status != Present || v.MAC == "" || v.MAC != h.MAC {
		return from, false
	}
	from, h.Origin = h.Origin, netip.Addr{}
	return from, from != h.ID.Addr
}

// exchange gives the endpoints of each of two hosts to the other. Candidates
// are dropped: they are found again.
func (tx *transaction) exchange(a, b event.Host) error {
	const between = "moving" // no address
	x, y := a.Addr.String(), b.Addr.String()
	if _, err := tx.conn.ExecContext(tx.ctx, `delete from endpoints where zone = ? and addr in (?, ?)
		and status = 'candidate'`, a.Zone, x, y); err != nil {
		return err
	}
	for _, step := range [][2]string{{x, between}, {y, x}, {between, y}} {
		if _, err := tx.conn.ExecContext(tx.ctx, `update endpoints set addr = ? where zone = ? and addr = ?`,
			step[1], a.Zone, step[0]); err != nil {
			return err
		}
	}
	return nil
}

// What names a machine, as the reason of a host.moved.
const (
	ReasonMAC     = "mac"
	ReasonHostKey = "ssh_host_key"
)

func (tx *transaction) tellMoved(h *Host, from netip.Addr, m *Move, v *Visit) error {
	ev := tx.hostEvent(event.HostMoved, h, v)
	ev.Reason = ReasonMAC
	if m.Key != "" {
		ev.Reason, ev.Endpoint.SSHHostKey = ReasonHostKey, keyOf(m.Key)
	}
	ev.Previous = &probes.Observation{Addr: from}
	ev.Changed = []string{"addr"}
	return tx.tellWithServices(&ev, h)
}

// ask asks for a visit of another endpoint of the host of a silent one: of the
// one that was there last. So it is soon known whether the host is silent.
func (tx *transaction) ask(k event.Key) error {
	rows, err := tx.stmts.another.QueryContext(tx.ctx, append(keyColumns(k)[:2], string(k.Transport), int64(k.Port))...)
	if err != nil {
		return err
	}
	return tx.dueOf(rows)
}

// maxDoubt is how many endpoints of a host are asked to be visited at once.
const maxDoubt = 32

// doubt asks for visits of the endpoints of a host.
func (tx *transaction) doubt(id event.Host) error {
	rows, err := tx.conn.QueryContext(tx.ctx, `select id, zone, addr, transport, port from endpoints
		where zone = ? and addr = ? and status in ('present', 'away') and retired = 0 limit ?`,
		id.Zone, id.Addr.String(), maxDoubt)
	if err != nil {
		return err
	}
	return tx.dueOf(rows)
}

func (tx *transaction) dueOf(rows *sql.Rows) error {
	defer rows.Close()
	for rows.Next() {
		var k event.Key
		if _, err := scanKey(rows, &k); err != nil {
			return err
		}
		tx.due = append(tx.due, k)
	}
	return rows.Err()
}
