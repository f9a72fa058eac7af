package inventory

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"sonde/daemon/internal/event"
)

// hostState is the part of a Host that nobody searches for: one JSON text.
type hostState struct {
	Missed     *Streak    `json:"missed,omitempty"`
	Out        time.Time  `json:"out,omitzero"`
	Back       *Streak    `json:"back,omitempty"`
	Move       *Move      `json:"move,omitempty"`
	Origin     netip.Addr `json:"origin,omitzero"`
	Everything int64      `json:"everything,omitempty"`
}

// host gives what is known of a host, nothing if it is new.
func (tx *transaction) host(id event.Host) (Host, error) {
	if h, ok := tx.hosts[id]; ok {
		return h, nil
	}
	h, err := scanHost(id, tx.stmts.host.QueryRowContext(tx.ctx, id.Zone, id.Addr.String()))
	if err != nil {
		return h, fmt.Errorf("host %s: %w", id, err)
	}
	if at, ok := tx.alive[id]; ok {
		h.Alive = at
	}
	tx.hosts[id] = h
	return h, nil
}

// hostSQL gives one row, of nulls where nothing is known of the host.
const hostSQL = `select m.watch, m.status, m.first_seen, m.mac, m.state, h.alive
	from (select ?1 as zone, ?2 as addr) k
	left join machines m on m.zone = k.zone and m.addr = k.addr
	left join hosts h on h.zone = k.zone and h.addr = k.addr`

func scanHost(id event.Host, r *sql.Row) (Host, error) {
	h := Host{ID: id}
	var watch, status, mac, text sql.NullString
	var first, alive sql.NullInt64
	if err := r.Scan(&watch, &status, &first, &mac, &text, &alive); err != nil {
		return h, err
	}
	h.Alive = timeOf(alive.Int64)
	if !text.Valid {
		return h, nil
	}
	h.Watch, h.Status, h.MAC = watch.String, Status(status.String), mac.String
	var s hostState
	if err := json.Unmarshal([]byte(text.String), &s); err != nil {
		return h, err
	}
	h.FirstSeen, h.Missed, h.Back = timeOf(first.Int64), streakOf(s.Missed), streakOf(s.Back)
	h.Out, h.Move, h.Origin, h.Everything = s.Out, s.Move, s.Origin, s.Everything
	return h, nil
}

// saveHost writes what has changed of a host. Its last sign of life is kept
// apart, as it changes with each visit.
func (tx *transaction) saveHost(h Host) error {
	was := tx.hosts[h.ID]
	tx.hosts[h.ID] = h
	was.Alive = h.Alive
	if was == h || h.Status == Unknown && h.MAC == "" && h.Move == nil && was.Move == nil && h.Everything == was.Everything {
		return nil
	}
	moving := ""
	if h.Move != nil {
		moving = cmp.Or(h.Move.MAC, h.Move.Key)
	}
	text, err := json.Marshal(hostState{Missed: streakOrNil(h.Missed), Out: h.Out, Back: streakOrNil(h.Back),
		Move: h.Move, Origin: h.Origin, Everything: h.Everything})
	if err == nil {
		_, err = tx.stmts.saveHost.ExecContext(tx.ctx, h.ID.Zone, h.ID.Addr.String(), h.Watch,
			string(h.Status), nanos(h.FirstSeen), h.MAC, moving, h.Missed.Count, string(text))
	}
	if err != nil {
		return fmt.Errorf("host %s: %w", h.ID, err)
	}
	return nil
}

// byMAC gives the only other host of the zone and the IP version that is known
// by the MAC address, nil for none or several: of a router that answers for
// many addresses nothing can be told.
func (tx *transaction) byMAC(h event.Host, mac string) (*Host, error) {
	if mac == "" {
		return nil, nil
	}
	rows, err := tx.stmts.byMAC.QueryContext(tx.ctx, h.Zone, mac, h.Addr.String())
	if err != nil {
		return nil, err
	}
	return tx.onlyHost(h, rows)
}

// onlyHost reads addresses, and whether each is believed to be of a machine that
// is known. It gives the host of the only one that is of the IP version of h.
func (tx *transaction) onlyHost(h event.Host, rows *sql.Rows) (*Host, error) {
	defer rows.Close()
	var found, all []netip.Addr
	for rows.Next() {
		var text string
		var believed bool
		if err := rows.Scan(&text, &believed); err != nil {
			return nil, err
		}
		a, err := netip.ParseAddr(text)
		if err != nil || a.Is4() != h.Addr.Is4() {
			continue
		}
		if all = append(all, a); believed {
			found = append(found, a)
		}
	}
	if err := rows.Err(); err != nil || len(found) != 1 || len(all) != 1 {
		return nil, err
	}
	other, err := tx.host(event.Host{Zone: h.Zone, Addr: found[0]})
	return &other, err
}

// elsewhere tells whether the machine of a host was seen at another address, and
// is about to be told as moved there.
func (tx *transaction) elsewhere(h *Host) (is bool, err error) {
	err = tx.conn.QueryRowContext(tx.ctx, `select exists (select 1 from machines
		where zone = ?1 and moving <> '' and addr <> ?3 and (moving = ?2 or ?2 = '' and moving in
			(select k.key from host_keys k join endpoints e on e.id = k.endpoint
			where e.zone = ?1 and e.addr = ?3 and k.shared = 0)))`, h.ID.Zone, h.MAC, h.ID.Addr.String()).Scan(&is)
	return is, err
}

// window counts what the hosts of a watch show alike.
func (tx *transaction) window(watch, sign string, v *Visit, r Rules) (w Window, err error) {
	w.At = v.At
	err = tx.stmts.knownHosts.QueryRowContext(tx.ctx, watch).Scan(&w.Known)
	if err == nil && sign == signMissing {
		err = tx.stmts.missingHosts.QueryRowContext(tx.ctx, watch).Scan(&w.Alike)
	} else if err == nil {
		err = tx.stmts.alikeHosts.QueryRowContext(tx.ctx, watch, sign, nanos(v.At.Add(-r.MassWindow))).Scan(&w.Alike)
	}
	return w, err
}

// missAnew lets the missing hosts of a watch be judged from now on: what they
// missed before was the way's doing.
func (tx *transaction) missAnew(watch string, at time.Time) error {
	for id, h := range tx.hosts {
		if h.Watch == watch {
			delete(tx.hosts, id)
		}
	}
	now, err := json.Marshal(Streak{Count: 1, First: at.UTC(), Last: at.UTC()})
	if err == nil {
		_, err = tx.conn.ExecContext(tx.ctx, `update machines set missed = 1,
			state = json_set(state, '$.missed', json(?)) where watch = ? and missed > 0`, string(now), watch)
	}
	return err
}

func (tx *transaction) mass(watch, sign string) (*Mass, error) {
	var since int64
	err := tx.stmts.mass.QueryRowContext(tx.ctx, watch, sign).Scan(&since)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &Mass{Watch: watch, Sign: sign, Since: timeOf(since)}, nil
}

func (tx *transaction) saveMass(watch, sign string, was, now *Mass) (err error) {
	switch {
	case was == nil && now != nil:
		_, err = tx.conn.ExecContext(tx.ctx, `insert into masses (watch, sign, since) values (?, ?, ?)`,
			watch, sign, nanos(now.Since))
	case was != nil && now == nil:
		_, err = tx.conn.ExecContext(tx.ctx, `delete from masses where watch = ? and sign = ?`, watch, sign)
	}
	return err
}

// saveLikeness notes what an endpoint has in common with others. A sign that
// was told stays for its window, so that it is counted with those that follow.
func (tx *transaction) saveLikeness(id int64, e *Endpoint, told bool, at int64) error {
	if id == 0 {
		return nil
	}
	sign := signOf(e)
	if sign == "" && told {
		_, err := tx.stmts.signTold.ExecContext(tx.ctx, shapeOf(e), id)
		return err
	}
	_, err := tx.stmts.saveLikeness.ExecContext(tx.ctx, id, e.Watch, e.Key.Addr.String(), shapeOf(e), sign, at)
	return err
}
