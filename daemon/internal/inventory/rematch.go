package inventory

import (
	"context"
	"fmt"
	"slices"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/fault"
	"sonde/probes"
)

// A Matcher is today's database and engine.
type Matcher struct {
	Database string // its hash
	Engine   string // changes whenever the program's matching may have changed
	// Again gives the observation as it would be today, judged by its evidence
	// and Answers alone, or false where those do not tell.
	Again func(was *probes.Observation) (probes.Observation, bool)
}

// Rematched counts what came of matching again.
type Rematched struct {
	Endpoints int // that were looked at
	Told      int // service.reclassified
	Unable    int // identities that wait for their next visit, as their evidence does not tell
}

// rematchBatch is how many endpoints are matched again in one transaction: a few
// milliseconds, so that visits are stored between.
const rematchBatch = 64

// Rematch holds the stored evidence against today's database and engine, if they
// are not those of the last time. What they say otherwise is told as
// service.reclassified, with the cause database or engine, and nothing is sent
// for it. After an error, or the end of ctx, the next call goes on where this one
// ended.
func (s *Store) Rematch(ctx context.Context, by Matcher) (Rematched, error) {
	var done Rematched
	m, err := s.beginRematch(ctx, by)
	for err == nil && !m.over {
		if err = ctx.Err(); err == nil {
			err = s.rematchSome(ctx, by, &m, &done)
		}
	}
	if err != nil {
		return done, fmt.Errorf("match evidence again: %w", err)
	}
	return done, nil
}

// rematching is how far it came.
type rematching struct {
	engineIsNew bool
	after       int64 // id of the last endpoint that is done
	over        bool
}

// beginRematch finds out whether there is something to do, and from where on.
func (s *Store) beginRematch(ctx context.Context, by Matcher) (m rematching, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.transact(ctx, func(tx *transaction) error {
		var database, engine, doing string
		for key, into := range map[string]any{metaDatabase: &database, metaEngine: &engine,
			metaRematching: &doing, metaRematched: &m.after} {
			if err := readMetaKey(tx.ctx, tx.conn, key, into); err != nil {
				return err
			}
		}
		m.over = database == by.Database && engine == by.Engine
		m.engineIsNew = engine != by.Engine
		if now := by.Database + "/" + by.Engine; !m.over && doing != now {
			m.after = 0
			return writeMeta(tx.ctx, tx.conn, metaRematching, now)
		}
		return nil
	})
	return m, err
}

// rematchSome goes on with the next endpoints.
func (s *Store) rematchSome(ctx context.Context, by Matcher, m *rematching, done *Rematched) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.transact(ctx, func(tx *transaction) error {
		keys, last, err := tx.keysAfter(m.after, rematchBatch)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := tx.rematch(k, by, m.engineIsNew, done); err != nil {
				return fmt.Errorf("%s: %w", k, err)
			}
		}
		if m.over = len(keys) < rematchBatch; m.over {
			return tx.endRematch(by)
		}
		m.after = last
		return writeMeta(tx.ctx, tx.conn, metaRematched, last)
	})
	if err != nil {
		m.over = false
	}
	return err
}

// endRematch notes what all is matched by now.
func (tx *transaction) endRematch(by Matcher) error {
	fault.Point("store.rematch.end")
	for key, value := range map[string]any{metaDatabase: by.Database, metaEngine: by.Engine,
		metaRematching: "", metaRematched: 0} {
		if err := writeMeta(tx.ctx, tx.conn, key, value); err != nil {
			return err
		}
	}
	return nil
}

// keysAfter gives the next endpoints in the order of their ids.
func (tx *transaction) keysAfter(id int64, limit int) (keys []event.Key, last int64, err error) {
	rows, err := tx.conn.QueryContext(tx.ctx, `select id, zone, addr, transport, port from endpoints
		where id > ? order by id limit ?`, id, limit)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var k event.Key
		if last, err = scanKey(rows, &k); err != nil {
			return nil, 0, err
		}
		keys = append(keys, k)
	}
	return keys, last, rows.Err()
}

// rematch judges one endpoint anew.
func (tx *transaction) rematch(k event.Key, by Matcher, engineIsNew bool, done *Rematched) error {
	known, err := tx.loadRow(k)
	if err != nil || known.id == 0 {
		return err
	}
	done.Endpoints++
	r := rejudged{decision: decision{Endpoint: known.endpoint.clone(), rules: tx.rulesOf(known.endpoint.Watch)},
		by: by, engineIsNew: engineIsNew}
	r.all()
	done.Unable += r.unable
	if !r.touched {
		return nil
	}
	id, err := tx.saveRow(known, &r.Endpoint)
	for i := range r.events {
		if err == nil {
			err = tx.emit(&r.events[i], id)
			done.Told++
		}
	}
	return err
}

// rejudged is an endpoint whose identities are judged by today's database.
type rejudged struct {
	decision
	by          Matcher
	engineIsNew bool
	touched     bool
	unable      int
}

// all judges each identity of the set; what became equal is kept once.
func (r *rejudged) all() {
	current := r.Current
	others := r.Others
	r.Others = nil
	for i := range others {
		if now := r.one(others[i]); !r.twin(&now) {
			r.Others = append(r.Others, now)
		}
	}
	r.Current = r.one(current)
	r.Others = slices.DeleteFunc(r.Others, func(o probes.Observation) bool {
		return compare(&r.Current, &o) == same && compare(&o, &r.Current) == same
	})
}

// twin tells whether now is in the set already.
func (r *rejudged) twin(now *probes.Observation) bool {
	return slices.ContainsFunc(r.Others, func(o probes.Observation) bool {
		return compare(&o, now) == same && compare(now, &o) == same
	})
}

// one gives the identity as today's database has it, and tells what is different
// about it if the endpoint is one of which something is told at all.
func (r *rejudged) one(was probes.Observation) probes.Observation {
	cause := event.CauseDatabase
	if was.Database == r.by.Database {
		if cause = event.CauseEngine; !r.engineIsNew {
			return was
		}
	}
	if !was.Addr.IsValid() {
		return was // a candidate has no identity yet
	}
	stored := was
	stored.Answers, _ = Drawn(&was)
	now, ok := r.by.Again(&stored)
	if !ok {
		r.unable++
		return was
	}
	now, differs := rejudge(&was, &now, r.Key)
	if !differs {
		r.touched = r.touched || was.Database != now.Database || was.Rule != now.Rule
		return now
	}
	r.touched = true
	r.learn(&now)
	if r.Status == Present && !r.Retired {
		r.visit.At = r.LastVerified
		r.Current = now
		r.tellChange(event.ServiceReclassified, cause, &was, 0)
	}
	return now
}

// rejudge joins what was known with what its evidence says today. The same line
// keeps what earlier visits had added; another one speaks for itself.
func rejudge(was, now *probes.Observation, k event.Key) (probes.Observation, bool) {
	*now = clean(*now, k)
	weaker := rank(now.Strength) < rank(was.Strength)
	sameLine := was.Evidence.Rule == now.Evidence.Rule
	differs := weaker || len(difference(was, now)) > 0 || saysMore(was, now)
	if !sameLine {
		differs = differs || lost(was.Product, now.Product) || lost(was.Version, now.Version)
	}
	out := *was
	out.Rule, out.Probe, out.Database = now.Rule, now.Probe, now.Database
	out.Evidence = now.Evidence
	switch {
	case !differs: // a service that only the port suggests is none that a visit learned
		out.Strength = stronger(was.Strength, now.Strength)
	case sameLine && !weaker:
		out.Strength = now.Strength
		out.Identity = mergeIdentity(&was.Identity, &now.Identity)
	default:
		out.Identity, out.Strength = now.Identity, now.Strength
		if rank(now.Strength) > 0 {
			out.Fingerprint = "" // it is explained now
		}
	}
	return out, differs
}

// stronger is was, unless now is a stronger word for the same.
func stronger(was, now probes.Strength) probes.Strength {
	if rank(now) > rank(was) {
		return now
	}
	return was
}

// saysMore tells whether now knows something of which was knew nothing.
func saysMore(was, now *probes.Observation) bool {
	if rank(now.Strength) == 0 {
		return false
	}
	a, b := &was.Identity, &now.Identity
	return rank(was.Strength) == 0 || lost(b.Service, a.Service) || lost(b.Product, a.Product) ||
		lost(b.Version, a.Version) || lost(b.OS, a.OS) || lost(b.Device, a.Device) ||
		len(a.CPE) == 0 && len(b.CPE) > 0
}
