package inventory

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/fault"
	"sonde/probes"
)

// Apply decides about the visits in their order and commits what follows from
// them in one transaction: states, history and events. It returns where each
// of the endpoints stands then. On an error nothing of the batch
// was applied, and it may be applied again.
//
// A batch of a few hundred costs little more than a single visit, as most of
// the time of a commit goes into one sync.
func (s *Store) Apply(ctx context.Context, visits []Visit) ([]Standing, error) {
	if len(visits) == 0 {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fault.Point("store.apply.before")
	after := make([]Standing, len(visits))
	err := s.transact(ctx, func(tx *transaction) error {
		for i := range visits {
			if err := ctx.Err(); err != nil {
				return err
			}
			var err error
			if after[i], err = tx.apply(visits[i]); err != nil {
				return fmt.Errorf("visit of %s: %w", visits[i].Key, err)
			}
		}
		return tx.saveAlive()
	})
	if err != nil {
		return nil, fmt.Errorf("apply %d visits: %w", len(visits), err)
	}
	return after, nil
}

// A transaction is one write to the store, made by the holder of its mutex.
type transaction struct {
	*Store
	ctx   context.Context          // without an end: an interrupted statement gains nothing
	seq   int64                    // of the last event written in it
	alive map[event.Host]time.Time // signs of life of this batch
	hosts map[event.Host]Host      // read so far, as they are now
	clock event.Clock              // as the sensor's is now
	due   []event.Key              // to be visited soon, as the visit at hand makes them doubtful
}

// transact runs do between begin and commit. What do does to the file counts
// wholly or not at all.
func (s *Store) transact(ctx context.Context, do func(*transaction) error) error {
	if s.conn == nil {
		return os.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if why := s.sick.Load(); why != nil {
		return *why
	}
	ctx = context.WithoutCancel(ctx)
	if _, err := s.conn.ExecContext(ctx, "begin immediate"); err != nil {
		s.noteFailure(err)
		return err
	}
	tx := &transaction{Store: s, ctx: ctx, seq: s.seq, alive: map[event.Host]time.Time{},
		hosts: map[event.Host]Host{}}
	if s.state != nil {
		tx.clock = s.state()
	}
	err := do(tx)
	if err == nil && tx.seq != s.seq {
		_, err = s.stmts.meta.ExecContext(ctx, metaSeq, tx.seq)
	}
	if err == nil {
		fault.Point("store.commit.before")
		_, err = s.conn.ExecContext(ctx, "commit")
	}
	if err != nil {
		_, _ = s.conn.ExecContext(ctx, "rollback") // after a failed commit it may be over already
		s.noteFailure(err)
		return err
	}
	fault.Point("store.commit.after")
	if tx.seq != s.seq {
		s.seq = tx.seq
		s.wake()
	}
	return nil
}

func (tx *transaction) apply(v Visit) (Standing, error) {
	if !v.Key.Addr.IsValid() || v.Key.Transport != probes.TCP && v.Key.Transport != probes.UDP {
		return Standing{}, fmt.Errorf("a key needs an address and a transport")
	}
	v.Key.Addr = v.Key.Addr.Unmap()
	if v.At.IsZero() {
		v.At = tx.now() // nothing was received: it ended just now
	}
	if signOfLife(&v) != there {
		v.MAC = "" // nobody answered from there: it is of some earlier time
	}
	v.Unsynced = tx.clock == event.Unsynced
	tx.due = nil
	rules := tx.rulesOf(v.Watch)
	h, err := tx.host(v.Key.Host())
	if err != nil {
		return Standing{}, err
	}
	h, verdict, err := tx.meet(h, &v, rules)
	if err != nil {
		return Standing{}, err
	}
	v.HostAlive, v.HostOut = h.Alive, h.Out
	if signOfLife(&v) == there {
		tx.alive[h.ID] = v.At
	}
	known, err := tx.loadRow(v.Key)
	if err != nil {
		return Standing{}, err
	}
	now, err := tx.applyTo(known, &h, verdict, v, rules)
	if err != nil {
		return Standing{}, err
	}
	if err := tx.saveHost(h); err != nil {
		return Standing{}, err
	}
	if now.Retired {
		return Standing{Also: tx.due}, nil
	}
	next := now.Next
	if next.At.IsZero() && now.Status != Unknown {
		next = verdict.Next
	}
	return Standing{now.Status, next, now.LastVerified, now.Swing.Unstable, tx.due}, nil
}

// applyTo judges the endpoint of a visit and writes what follows.
func (tx *transaction) applyTo(known *row, h *Host, verdict HostVerdict, v Visit, rules Rules) (Endpoint, error) {
	var old *Endpoint
	if known.id != 0 {
		old = &known.endpoint
	}
	if old == nil || old.Retired { // the passes of a removed watch are forgotten
		v.AbsentAt, v.Cause = tx.coverage.absence(&v, tx.now())
	}
	before := *h
	v.Held = v.Held || verdict.Gone // it goes with its host
	now, events, err := tx.decide(known.id, old, h, v, rules)
	if err != nil {
		return now, err
	}
	fault.Point("store.apply.decided")
	if signOfLife(&v) == silent && h.Status == Present && now.Status != Unknown && h.Missed.Count <= triesEach {
		if err := tx.ask(v.Key); err != nil {
			return now, err
		}
	}
	id, err := tx.saveRow(known, &now)
	if err != nil {
		return now, err
	}
	if err := tx.saveKey(id, &v); err != nil {
		return now, err
	}
	if err := tx.saveLikeness(id, &now, concludes(events) != "", nanos(v.At)); err != nil {
		return now, err
	}
	if *h, err = tx.follow(*h, verdict, &now, events, &v); err != nil {
		return now, err
	}
	for i := range events {
		events[i].MAC = h.MAC
		if err := tx.emit(&events[i], id); err != nil {
			return now, err
		}
	}
	if before.Everything != 0 {
		if err := tx.thins(h, &v, rules); err != nil {
			return now, err
		}
	}
	if !verdict.Gone {
		return now, nil
	}
	switch now.Status {
	case Present:
		now.Status = Away
	case Candidate:
		now.Status = Unknown
	}
	return now, tx.leave(h, &v, verdict.Quiet)
}

// loadRow reads the endpoint; its id is 0 when there is none.
func (tx *transaction) loadRow(k event.Key) (*row, error) {
	rows, err := tx.stmts.load.QueryContext(tx.ctx, keyColumns(k)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := &row{}
	err = collect(rows, false, func(r *row) bool { found = r; return true })
	return found, err
}

// saveRow writes what has changed of the endpoint and gives its row's id.
func (tx *transaction) saveRow(was *row, e *Endpoint) (id int64, err error) {
	if e.Status == Unknown {
		if was.id != 0 {
			_, err = tx.stmts.drop.ExecContext(tx.ctx, was.id)
		}
		return 0, err
	}
	state, err := encodeState(e)
	if err != nil {
		return 0, err
	}
	if id = was.id; id != 0 && sameButTimes(&was.endpoint, e) {
		_, err = tx.stmts.saveTimes.ExecContext(tx.ctx, append(timeColumns(e, state), id)...)
	} else {
		err = tx.stmts.save.QueryRowContext(tx.ctx, columns(e, state)...).Scan(&id)
	}
	if err != nil {
		return 0, err
	}
	return id, tx.saveIdentities(id, was.identities, e)
}

func (tx *transaction) saveIdentities(id int64, was []identityRow, e *Endpoint) error {
	now, err := encodeIdentities(e)
	if err != nil {
		return err
	}
	for place := range now {
		n := &now[place]
		var before identityRow
		if place < len(was) {
			before = was[place]
		}
		if !n.equal(&before) {
			_, err := tx.stmts.saveIdentity.ExecContext(tx.ctx, id, place, n.database, n.observation)
			if err != nil {
				return err
			}
		}
		if err := tx.saveEvidence(id, place, before.evidence, n.evidence); err != nil {
			return err
		}
		if err := tx.saveMark(id, place, before.fingerprint, n.fingerprint); err != nil {
			return err
		}
	}
	if len(was) <= len(now) {
		return nil
	}
	for _, cut := range []*sql.Stmt{tx.stmts.cutIdentities, tx.stmts.cutEvidence, tx.stmts.cutMark} {
		if _, err := cut.ExecContext(tx.ctx, id, len(now)); err != nil {
			return err
		}
	}
	return nil
}

func (tx *transaction) saveMark(id int64, place int, was, now string) (err error) {
	switch now {
	case was:
	case "":
		_, err = tx.stmts.dropMark.ExecContext(tx.ctx, id, place)
	default:
		_, err = tx.stmts.saveMark.ExecContext(tx.ctx, id, place, now)
	}
	return err
}

func (tx *transaction) saveEvidence(id int64, place int, was, now *probes.Evidence) (err error) {
	switch {
	case equalEvidence(was, now):
	case now == nil:
		_, err = tx.stmts.dropEvidence.ExecContext(tx.ctx, id, place)
	default:
		answer := []byte(now.Answer)
		if answer == nil {
			answer = []byte{}
		}
		_, err = tx.stmts.saveEvidence.ExecContext(tx.ctx, id, place,
			now.Probe, now.Rule, now.Database, answer, now.Truncated)
	}
	return err
}
