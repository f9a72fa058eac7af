package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// statements are the prepared ones of the writing connection.
type statements struct {
	load, save, drop            *sql.Stmt
	saveIdentity, cutIdentities *sql.Stmt
	saveEvidence, cutEvidence   *sql.Stmt
	dropEvidence                *sql.Stmt
	saveMark, dropMark, cutMark *sql.Stmt // fingerprints
	alive, saveAlive            *sql.Stmt
	outbox, history, meta       *sql.Stmt
}

func (s *statements) prepare(ctx context.Context, c *sql.Conn) error {
	for _, p := range []struct {
		into **sql.Stmt
		text string
	}{
		{&s.load, `select ` + endpointColumns + `, ` + identityColumns + `
			from endpoints e ` + identityJoin + `
			where e.zone = ? and e.addr = ? and e.transport = ? and e.port = ?
			order by i.place`},
		{&s.save, `insert into endpoints (zone, addr, transport, port, watch, status, retired,
				unverified, service, product, version, first_seen, last_seen, last_visited,
				last_verified, next_at, next_why, state)
			values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			on conflict (zone, addr, transport, port) do update set
				watch = excluded.watch, status = excluded.status, retired = excluded.retired,
				unverified = excluded.unverified, service = excluded.service,
				product = excluded.product, version = excluded.version,
				first_seen = excluded.first_seen, last_seen = excluded.last_seen,
				last_visited = excluded.last_visited, last_verified = excluded.last_verified,
				next_at = excluded.next_at, next_why = excluded.next_why, state = excluded.state
			returning id`},
		{&s.drop, `delete from endpoints where id = ?`},
		{&s.saveIdentity, `insert into identities (endpoint, place, database, observation)
			values (?, ?, ?, ?) on conflict (endpoint, place) do update set
				database = excluded.database, observation = excluded.observation`},
		{&s.cutIdentities, `delete from identities where endpoint = ? and place >= ?`},
		{&s.saveEvidence, `insert into evidence
				(endpoint, place, probe, rule, database, answer, truncated)
			values (?, ?, ?, ?, ?, ?, ?) on conflict (endpoint, place) do update set
				probe = excluded.probe, rule = excluded.rule, database = excluded.database,
				answer = excluded.answer, truncated = excluded.truncated`},
		{&s.dropEvidence, `delete from evidence where endpoint = ? and place = ?`},
		{&s.cutEvidence, `delete from evidence where endpoint = ? and place >= ?`},
		{&s.saveMark, `insert into fingerprints (endpoint, place, text) values (?, ?, ?)
			on conflict (endpoint, place) do update set text = excluded.text`},
		{&s.dropMark, `delete from fingerprints where endpoint = ? and place = ?`},
		{&s.cutMark, `delete from fingerprints where endpoint = ? and place >= ?`},
		{&s.alive, `select alive from hosts where zone = ? and addr = ?`},
		{&s.saveAlive, `insert into hosts (zone, addr, alive) values (?1, ?2, ?3)
			on conflict (zone, addr) do update set alive = excluded.alive
			where abs(excluded.alive - alive) >= ?4`},
		{&s.outbox, `insert into outbox (seq, at, action, event) values (?, ?, ?, ?)`},
		{&s.history, `insert into history (endpoint, seq, at, action, message)
			values (?, ?, ?, ?, ?)`},
		{&s.meta, writeMetaSQL},
	} {
		var err error
		if *p.into, err = c.PrepareContext(ctx, p.text); err != nil {
			return fmt.Errorf("prepare %.40q: %w", p.text, err)
		}
	}
	return nil
}

// close gives the statements back; the connection would do so as well.
func (s *statements) close() {
	var errs []error
	for _, st := range []*sql.Stmt{s.load, s.save, s.drop, s.saveIdentity, s.cutIdentities,
		s.saveEvidence, s.dropEvidence, s.cutEvidence, s.saveMark, s.dropMark, s.cutMark, s.alive, s.saveAlive,
		s.outbox, s.history, s.meta} {
		if st != nil {
			errs = append(errs, st.Close())
		}
	}
	_ = errors.Join(errs...) // nothing is lost by a failed Close of a statement
}
