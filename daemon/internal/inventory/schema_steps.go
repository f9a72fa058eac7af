package inventory

// How the schema grows. Each step leads from one version to the next, and the
// numbers are those of releases: the last step may be added to until a release
// has it, and is never touched again after that.
//
// A step only adds: tables, indexes, and columns that have a default. So what
// an older program wrote stays where it was, a step costs no rewriting of the
// rows, and a reader of ours can leave out what an older file lacks. Whoever
// needs a column or a table adds its statement to the end of the last step, and
// to the reading of older files in reader.go if it is read there.
//
// Times are Unix nanoseconds, 0 for never:
//
//	select addr, port, product, datetime(last_seen/1000000000, 'unixepoch')
//	from endpoints where status = 'present';
const (
	schema1 = `
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
`

	// What no signature explains, apart from the identity, as it is long and
	// seldom read.
	schema2 = `
create table fingerprints (
	endpoint integer not null references endpoints (id) on delete cascade,
	place    integer not null,
	text     text not null,
	primary key (endpoint, place)
) strict;
`

	// Which of the endpoints that are gone, or no longer watched, were so for
	// longest: they are the ones that age out, and few of all.
	schema3 = `
create index endpoints_old on endpoints (last_seen) where status = 'gone' or retired = 1;
`

	// What is known of hosts beyond their last sign of life, what endpoints
	// have in common with others, and what of that is told as one. A host key is
	// shared once two addresses had it at the same time.
	schema4 = `
create table machines (
	zone       text not null,
	addr       text not null,
	watch      text not null,
	status     text not null,
	first_seen integer not null,
	mac        text not null,
	moving     text not null default '',
	missed     integer not null,
	state      text not null,
	primary key (zone, addr)
) strict, without rowid;
create index machines_by_watch on machines (watch, status, missed);
create index machines_by_mac on machines (zone, mac) where mac <> '';
create index machines_moving on machines (zone, moving) where moving <> '';

create table likeness (
	endpoint integer primary key references endpoints (id) on delete cascade,
	watch    text not null,
	addr     text not null,
	shape    integer not null,
	sign     text not null,
	sign_at  integer not null
) strict;
create index likeness_by_sign on likeness (watch, sign, addr) where sign <> '';

create table masses (
	watch text not null,
	sign  text not null,
	since integer not null,
	primary key (watch, sign)
) strict, without rowid;

create table host_keys (
	endpoint integer not null references endpoints (id) on delete cascade,
	key      text not null,
	seen     integer not null,
	shared   integer not null default 0,
	primary key (endpoint, key)
) strict, without rowid;
create index host_keys_by_key on host_keys (key);

insert into machines (zone, addr, watch, status, first_seen, mac, missed, state)
	select zone, addr, max(watch), 'present', min(first_seen), '', 0, '{}' from endpoints
	where status = 'present' and retired = 0 group by zone, addr;
`
)

// hasFingerprints is the first schema with that table.
const hasFingerprints = 2
