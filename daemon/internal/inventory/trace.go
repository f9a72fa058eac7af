package inventory

import (
	"strings"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// A Trace is the SSH host key by which a machine is looked for at another
// address, and how it stands there. The zero value looks for nothing.
type Trace struct {
	Key string // kind and hash

	// Of the other host, since its key was seen here: whether any of its services
	// answered, and whether each refused.
	Answered, Refused bool
}

// decideMoveByKey is DecideMove for a machine that is known by its host key
// alone. A key is one service's: other services may be another machine's, as
// behind a forwarded port. So a machine has moved when nothing answers at its old
// address any more, and when it came to an address where nobody was.
func decideMoveByKey(h Host, other *Host, t Trace, v Visit, r Rules) (now Host, moved bool) {
	taken := h.Status != Unknown && h.Status != Gone
	if other == nil || taken || h.ID.Addr.Is6() {
		h.Move = nil
		return h, false
	}
	m := Move{Key: t.Key, From: other.ID.Addr, Since: v.At}
	if h.Move != nil && h.Move.Key == m.Key && h.Move.From == m.From {
		m = *h.Move
	}
	m.Seen.add(v.At)
	h.Move = &m
	left := other.Status == Gone || other.Missed.Count >= 2 || t.Refused
	switch {
	case t.Answered, v.At.Sub(m.Since) > r.GoneAfter:
		h.Move = nil
	case left && m.Seen.holds(r.NewVisits, r.NewSpacing):
		return h, true
	}
	return h, false
}

func keyText(k *probes.SSHHostKey) string { return k.Type + " " + k.SHA256 }

func keyOf(text string) *probes.SSHHostKey {
	kind, sum, _ := strings.Cut(text, " ")
	return &probes.SSHHostKey{Type: kind, SHA256: sum}
}

// knownAt gives the host that the machine of a visit is known by at another
// address. Where it has a MAC address, that counts alone.
func (tx *transaction) knownAt(h Host, v *Visit) (*Host, Trace, error) {
	if v.MAC != "" || h.MAC != "" {
		other, err := tx.byMAC(h.ID, v.MAC)
		return other, Trace{}, err
	}
	var t Trace
	if h.Move != nil {
		t.Key = h.Move.Key
	}
	if k := v.Observation.SSHHostKey; k != nil && t.Key == "" {
		t.Key = keyText(cleanHostKey(k))
		if known, err := tx.hasKey(v.Key, t.Key); err != nil || known {
			return nil, Trace{}, err // it is not new here
		}
	}
	if t.Key == "" || signOfLife(v) != there {
		return nil, Trace{}, nil
	}
	other, err := tx.byKey(h.ID, t.Key)
	if err != nil || other == nil {
		return nil, t, err
	}
	if h.Move != nil {
		err = tx.traced(other.ID, h.Move, &t)
	}
	return other, t, err
}

// keyed tells whether a host showed a key by which it may be known elsewhere.
func (tx *transaction) keyed(h event.Host) (is bool, err error) {
	err = tx.conn.QueryRowContext(tx.ctx, `select exists (select 1 from endpoints e
		join host_keys k on k.endpoint = e.id and k.shared = 0
		where e.zone = ? and e.addr = ? and e.retired = 0)`, h.Zone, h.Addr.String()).Scan(&is)
	return is, err
}

// hasKey tells whether an address showed a key before.
func (tx *transaction) hasKey(k event.Key, key string) (known bool, err error) {
	err = tx.stmts.hasKey.QueryRowContext(tx.ctx, key, k.Zone, k.Addr.String()).Scan(&known)
	return known, err
}

// byKey gives the only other host of the zone and the IP version that showed the
// host key, nil for none, and for a key that several have or had at once.
func (tx *transaction) byKey(h event.Host, key string) (*Host, error) {
	rows, err := tx.stmts.byKey.QueryContext(tx.ctx, key, h.Zone, h.Addr.String())
	if err != nil {
		return nil, err
	}
	return tx.onlyHost(h, rows)
}

// traced fills in how the other host stands since the key was seen here.
func (tx *transaction) traced(other event.Host, m *Move, t *Trace) error {
	return tx.stmts.traced.QueryRowContext(tx.ctx, other.Zone, other.Addr.String(), nanos(m.Since)).
		Scan(&t.Answered, &t.Refused)
}

// saveKey notes which key an endpoint showed. One that it shows again, after
// another address has shown it, is shared: that of cloned images, of devices that
// leave the factory with it, of machines with two addresses. Of a server that
// shows ever others the last ones are kept.
func (tx *transaction) saveKey(id int64, v *Visit) error {
	k := v.Observation.SSHHostKey
	if id == 0 || k == nil {
		return nil
	}
	key := keyText(cleanHostKey(k))
	if _, err := tx.stmts.shareKey.ExecContext(tx.ctx, id, key, v.Key.Zone, v.Key.Addr.String()); err != nil {
		return err
	}
	if _, err := tx.stmts.saveKey.ExecContext(tx.ctx, id, key, nanos(v.At), v.Key.Zone); err != nil {
		return err
	}
	_, err := tx.stmts.cutKeys.ExecContext(tx.ctx, id, MaxIdentities)
	return err
}
