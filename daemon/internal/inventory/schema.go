package inventory

import (
	"context"
	"database/sql"
	"fmt"
)

// schemaVersion is what this program writes, kept in SQLite's user_version.
// migrations[n] leads from version n to n+1; none is ever edited once it was
// in a release.
const schemaVersion = 2

// applicationID marks the file as ours: "Sond".
const applicationID = 0x536f6e64

// Times are Unix nanoseconds, 0 for never:
//
//	select addr, port, product, datetime(last_seen/1000000000, 'unixepoch')
//	from endpoints where status = 'present';
var migrations = [schemaVersion]string{
	0: `
create table meta (
	key   text primary key,
	value any not null
) strict, without rowid;

create table hosts (
	zone  text not null,
	addr  text not null,
	alive integer not null,
	primary key (zone, addr)
) strict, without rowid;

create table endpoints (
	id            integer primary key,
	zone          text not null,
	addr          text not null,
	transport     text not null,
	port          integer not null,
	watch         text not null,
	status        text not null,
	retired       integer not null default 0,
	unverified    integer not null default 0,
	service       text not null default '',
	product       text not null default '',
	version       text not null default '',
	first_seen    integer not null,
	last_seen     integer not null,
	last_visited  integer not null,
	last_verified integer not null,
	next_at       integer not null default 0,
	next_why      text not null default '',
	state         text not null,
	unique (zone, addr, transport, port)
) strict;
create index endpoints_by_watch on endpoints (watch);

create table identities (
	endpoint    integer not null references endpoints (id) on delete cascade,
	place       integer not null,
	database    text not null,
	observation text not null,
	primary key (endpoint, place)
) strict, without rowid;

create table evidence (
	endpoint  integer not null references endpoints (id) on delete cascade,
	place     integer not null,
	probe     text not null,
	rule      text not null,
	database  text not null,
	answer    blob not null,
	truncated integer not null,
	primary key (endpoint, place)
) strict;

create table history (
	id       integer primary key autoincrement,
	endpoint integer not null references endpoints (id) on delete cascade,
	seq      integer not null,
	at       integer not null,
	action   text not null,
	message  text not null
) strict;
create index history_by_endpoint on history (endpoint, id);

create table passes (
	id      integer primary key,
	watch   text not null,
	zone    text not null,
	method  text not null,
	targets text not null,
	exclude text not null,
	ports   text not null,
	begun   integer not null,
	started integer not null default 0,
	done    integer not null default 0,
	unique (watch, zone, method, targets, exclude, ports)
) strict;

create table outbox (
	seq    integer primary key,
	at     integer not null,
	action text not null,
	event  text not null
) strict;

create table cursors (
	sink text primary key,
	seq  integer not null
) strict, without rowid;
`,
	// What no signature explains, apart from the identity, as it is long and
	// seldom read.
	1: `
create table fingerprints (
	endpoint integer not null references endpoints (id) on delete cascade,
	place    integer not null,
	text     text not null,
	primary key (endpoint, place)
) strict;
`,
}

// hasFingerprints is the first schema with that table.
const hasFingerprints = 2

// migrate brings the file to schemaVersion, each step in a transaction. Before
// the first it makes a backup of what is there.
func migrate(ctx context.Context, c *sql.Conn, path string) error {
	version, err := pragmaInt(ctx, c, "user_version")
	if err != nil {
		return err
	}
	if version > schemaVersion {
		return fmt.Errorf("%w: its schema is %d, this program knows %d",
			ErrNewerSchema, version, schemaVersion)
	}
	if version > 0 && version < schemaVersion {
		if err := isOurs(ctx, c); err != nil {
			return err
		}
		if err := backup(ctx, c, backupPath(path, version)); err != nil {
			return fmt.Errorf("back up schema %d: %w", version, err)
		}
	}
	for v := version; v < schemaVersion; v++ {
		if v > 0 && migrations[v] == "" {
			return fmt.Errorf("no way from schema %d to %d", v, v+1)
		}
		step := fmt.Sprintf("begin immediate;%s\npragma application_id = %d;\npragma user_version = %d;\ncommit;",
			migrations[v], applicationID, v+1)
		if _, err := c.ExecContext(ctx, step); err != nil {
			_, _ = c.ExecContext(ctx, "rollback")
			return fmt.Errorf("schema %d to %d: %w", v, v+1, err)
		}
	}
	return isOurs(ctx, c)
}

func isOurs(ctx context.Context, c *sql.Conn) error {
	id, err := pragmaInt(ctx, c, "application_id")
	if err == nil && id != applicationID {
		err = fmt.Errorf("%w: it belongs to another program", ErrCorrupt)
	}
	return err
}

func pragmaInt(ctx context.Context, c *sql.Conn, name string) (n int, err error) {
	err = c.QueryRowContext(ctx, "pragma "+name).Scan(&n)
	return n, err
}
