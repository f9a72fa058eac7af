package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// statements are the prepared ones of the writing connection.
type statements struct {
	load, save, saveTimes, drop *sql.Stmt
	saveIdentity, cutIdentities *sql.Stmt
	saveEvidence, cutEvidence   *sql.Stmt
	dropEvidence                *sql.Stmt
	saveMark, dropMark, cutMark *sql.Stmt // fingerprints
	host, saveHost, saveAlive   *sql.Stmt
	knownHosts, missingHosts    *sql.Stmt
	alikeHosts, alikeEndpoints  *sql.Stmt
	mass, byMAC, another        *sql.Stmt
	hasKey, byKey, traced       *sql.Stmt
	shareKey, saveKey, cutKeys  *sql.Stmt
	saveLikeness, signTold      *sql.Stmt
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
		{&s.saveTimes, `update endpoints set last_seen = ?, last_visited = ?, last_verified = ?,
			next_at = ?, next_why = ?, state = ? where id = ?`},
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
		{&s.saveAlive, `insert into hosts (zone, addr, alive) values (?1, ?2, ?3)
			on conflict (zone, addr) do update set alive = excluded.alive
			where abs(excluded.alive - alive) >= ?4`},
		{&s.host, hostSQL},
		{&s.saveHost, `insert into machines (zone, addr, watch, status, first_seen, mac, moving, missed, state)
			values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (zone, addr) do update set
				watch = excluded.watch, status = excluded.status, first_seen = excluded.first_seen,
				mac = excluded.mac, moving = excluded.moving, missed = excluded.missed, state = excluded.state`},
		{&s.byMAC, `select addr, 1 from machines where zone = ?1 and mac = ?2 and mac <> '' and addr <> ?3
				and status <> ''
			union all select addr, 0 from machines where zone = ?1 and moving = ?2 and moving <> '' and addr <> ?3
				and mac is not ?2
			limit 8`},
		{&s.hasKey, `select exists (select 1 from host_keys k join endpoints e on e.id = k.endpoint
			where k.key = ? and e.zone = ? and e.addr = ?)`},
		{&s.byKey, `select e.addr, max(m.status is not null and m.status <> '' and e.status <> 'candidate')
				and not max(k.shared)
			from host_keys k join endpoints e on e.id = k.endpoint
				left join machines m on m.zone = e.zone and m.addr = e.addr
			where k.key = ?1 and e.zone = ?2 and e.addr <> ?3 and e.retired = 0 group by e.addr limit 8`},
		{&s.traced, `select coalesce(max(e.last_seen > ?3), 0),
				coalesce(min(e.last_visited > ?3 and json_type(e.state, '$.closed') is not null), 1)
			from endpoints e where e.zone = ?1 and e.addr = ?2 and e.status in ('present', 'away') and e.retired = 0`},
		{&s.shareKey, `update host_keys set shared = 1 where key = ?2 and shared = 0
			and endpoint in (select id from endpoints where zone = ?3)
			and exists (select 1 from host_keys k join endpoints e on e.id = k.endpoint
				where k.key = ?2 and e.zone = ?3 and e.addr <> ?4
					and k.seen > (select seen from host_keys where endpoint = ?1 and key = ?2))`},
		{&s.saveKey, `insert into host_keys (endpoint, key, seen, shared)
			values (?1, ?2, ?3, coalesce((select max(k.shared) from host_keys k join endpoints e on e.id = k.endpoint
				where k.key = ?2 and e.zone = ?4), 0))
			on conflict (endpoint, key) do update set seen = excluded.seen`},
		{&s.cutKeys, `delete from host_keys where endpoint = ?1 and key not in
			(select key from host_keys where endpoint = ?1 order by seen desc limit ?2)`},
		{&s.another, `select id, zone, addr, transport, port from endpoints
			where zone = ?1 and addr = ?2 and status = 'present' and transport = 'tcp' and retired = 0
				and not (transport = ?3 and port = ?4) and last_visited < last_seen + 120000000000
			order by last_seen desc limit 1`},
		{&s.knownHosts, `select count(*) from machines where watch = ? and status = 'present'`},
		{&s.missingHosts, `select count(*) from machines where watch = ? and status = 'present' and missed > 0`},
		{&s.alikeHosts, `select count(distinct addr) from likeness where watch = ? and sign = ?
			and sign <> '' and sign_at >= ?`},
		{&s.alikeEndpoints, `select count(*) from endpoints e join likeness l on l.endpoint = e.id
			where e.zone = ? and e.addr = ? and e.status in ('present', 'candidate') and e.retired = 0
				and l.shape = ? and e.id <> ?`},
		{&s.mass, `select since from masses where watch = ? and sign = ?`},
		{&s.saveLikeness, `insert into likeness (endpoint, watch, addr, shape, sign, sign_at)
			values (?, ?, ?, ?, ?, ?) on conflict (endpoint) do update set watch = excluded.watch,
				addr = excluded.addr, shape = excluded.shape, sign = excluded.sign, sign_at = excluded.sign_at
			where shape <> excluded.shape or sign <> excluded.sign or addr <> excluded.addr
				or watch <> excluded.watch or excluded.sign <> ''`},
		{&s.signTold, `update likeness set shape = ? where endpoint = ?`},
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
	for _, st := range []*sql.Stmt{s.load, s.save, s.saveTimes, s.drop, s.saveIdentity, s.cutIdentities,
		s.saveEvidence, s.dropEvidence, s.cutEvidence, s.saveMark, s.dropMark, s.cutMark, s.saveAlive,
		s.host, s.saveHost, s.knownHosts, s.missingHosts, s.alikeHosts, s.alikeEndpoints, s.mass, s.byMAC, s.another,
		s.hasKey, s.byKey, s.traced, s.shareKey, s.saveKey, s.cutKeys,
		s.saveLikeness, s.signTold,
		s.outbox, s.history, s.meta} {
		if st != nil {
			errs = append(errs, st.Close())
		}
	}
	_ = errors.Join(errs...) // nothing is lost by a failed Close of a statement
}
