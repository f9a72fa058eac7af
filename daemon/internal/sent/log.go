// Package sent keeps the log of what this sensor sent, so that whoever finds
// packets of it in a log of theirs can ask whether it was us: every connection
// and conversation of a visit with its own port and what was said, and every
// sweep with the addresses, ports and source ports that it took.
//
// What is told of is in the file within [flushEvery]. A process that is killed
// loses that much and what was under way; what could not be kept for another
// reason is counted as a gap. [Find] tells of both, so that an empty answer is
// only as sure as it says.
//
// The file never grows over its bound: the oldest contacts leave first.
package sent

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"sonde/daemon/internal/sqlfile"
	"sonde/daemon/internal/task"
	"sonde/probes/visitor"
)

// FileName is what the log is called in the state directory.
const FileName = "sent.db"

// Path is where the log lies in a state directory.
func Path(stateDir string) string { return filepath.Join(stateDir, FileName) }

// How the log writes. A busy sensor makes some thousand connections a second.
const (
	flushEvery  = time.Second
	maxWaiting  = 1 << 16         // contacts, some 10 MiB; more than that are a gap
	pageSize    = 4096            // bytes
	pruneAtOnce = 10_000          // contacts that leave in one transaction
	aliveEvery  = time.Minute     // that the log was kept is noted at least so often
	pruneEvery  = time.Minute     // what is too old is looked for
	closeWithin = 5 * time.Second // for what waits at the end
)

// schemaVersion is that of the file. One of the version before is completed, and
// one with another begun anew: it is a log, not the inventory.
const schemaVersion = 2

// complete adds what a file of schema 1 lacks.
const complete = `
alter table contacts add column interface text not null default '';
alter table sweeps add column interface text not null default '';
`

// applicationID is "SOsn" in the file's header.
const applicationID = 0x534f736e

// schema holds times in microseconds since 1970, and addresses as 4 or 16 bytes.
const schema = `
create table runs (begun integer primary key, alive integer not null, ended integer) strict;
create table contacts (
	begun integer not null, ended integer not null, addr blob not null, port integer not null,
	transport text not null, local blob, source integer not null, said text not null, why text not null,
	interface text not null default ''
) strict;
create index contacts_of on contacts (addr, begun);
create table sweeps (
	id integer primary key, begun integer not null, ended integer, method text not null,
	transport text not null, addrs text not null, ports text not null, sources text not null,
	targets integer not null, tries integer not null, why text not null,
	interface text not null default ''
) strict;
create table gaps (at integer not null, lost integer not null, why text not null) strict;
create table pruned (one integer primary key check (one = 1), until integer not null) strict;
`

// Config is what a Log needs.
type Config struct {
	Path    string
	MaxSize int64         // bytes of the file, beside some MiB of its journal
	KeepFor time.Duration // how long what was sent is remembered
	Now     func() time.Time
	Log     *slog.Logger
}

// A Sweep says whom a sweep asks, and how.
type Sweep struct {
	Method    string // "syn", "udp", "connect"
	Transport string
	Addrs     string // ranges, separated by blanks, see [ContainsAddr]
	Ports     string // as in the configuration
	Sources   string // ports that it sends from; "" for any
	Interface string // that it was bound to; "" for none
}

// A Log is open for writing. Its methods may be called by any goroutine, do not
// block and never fail: what cannot be written is a gap.
type Log struct {
	cfg Config
	db  *sql.DB
	run int64 // of the table

	turn task.Turn // of the one who writes

	mu      sync.Mutex
	waiting []visitor.Contact
	changes []sweepChange
	lost    int // contacts that found no room
	lastID  int64

	// Of the one who writes.
	ailing bool      // the last write failed, and was told
	shut   string    // why the file was closed, while none could be opened in its place
	alive  time.Time // last noted
	pruned time.Time // when nothing was too old
}

// A sweepChange begins a sweep, or ends it.
type sweepChange struct {
	id     int64
	at     time.Time
	begins *Sweep
	end    Ended
}

// Ended is how a sweep ended.
type Ended struct {
	Targets, Tries uint64
	Why            string // "" when it was complete
}

// Open opens or makes the log. A file that cannot be read is removed and begun
// anew, which is a gap.
func Open(ctx context.Context, cfg Config) (*Log, error) {
	l := &Log{cfg: cfg}
	err := l.open(ctx)
	if unreadable, ok := errors.AsType[*unreadableError](err); ok {
		cfg.Log.Warn("log of what was sent begins anew", "err", err)
		if err = l.anew(ctx); err == nil {
			err = l.gap(ctx, 0, "the log before this was not readable: "+unreadable.reason)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open log of what was sent: %w", err)
	}
	return l, nil
}

// unreadableError says that the file is no log that this program can go on with.
type unreadableError struct{ reason string }

func (e *unreadableError) Error() string { return e.reason }

func (l *Log) open(ctx context.Context) error {
	if err := sqlfile.Touch(l.cfg.Path); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", sqlfile.DSN(l.cfg.Path, "rwc", "busy_timeout(5000)",
		fmt.Sprintf("page_size(%d)", pageSize), fmt.Sprintf("max_page_count(%d)", l.cfg.MaxSize/pageSize),
		"journal_mode(wal)", "synchronous(normal)", "journal_size_limit(4194304)"))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	l.db = db
	if err := l.begin(ctx); err != nil {
		return errors.Join(err, db.Close())
	}
	return nil
}

// begin looks whether the file is ours, makes what it lacks, and begins a run.
func (l *Log) begin(ctx context.Context) error {
	var id, version, tables int
	err := l.db.QueryRowContext(ctx, `select a.application_id, u.user_version, (select count(*) from sqlite_schema)
		from pragma_application_id a, pragma_user_version u`).Scan(&id, &version, &tables)
	switch {
	case err != nil && broken(err):
		return &unreadableError{err.Error()}
	case err != nil:
		return err
	case tables == 0:
		_, err = l.db.ExecContext(ctx, fmt.Sprintf("begin; %s pragma application_id = %d; pragma user_version = %d; commit",
			schema, applicationID, schemaVersion))
	case id == applicationID && version == schemaVersion-1:
		_, err = l.db.ExecContext(ctx, fmt.Sprintf("begin; %s pragma user_version = %d; commit", complete, schemaVersion))
	case id != applicationID || version != schemaVersion:
		return &unreadableError{fmt.Sprintf("it has schema %d of %#x, this program knows %d", version, id, schemaVersion)}
	}
	if err == nil {
		l.run = l.cfg.Now().UnixMicro()
		_, err = l.db.ExecContext(ctx, "insert or replace into runs values (?, ?, null)", l.run, l.run)
	}
	return err
}

// Contact notes one conversation that is over.
func (l *Log) Contact(c visitor.Contact) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) >= maxWaiting {
		l.lost++
		return
	}
	l.waiting = append(l.waiting, c)
}

// Begin notes that a sweep begins, and gives the name by which it ends.
func (l *Log) Begin(s Sweep) (id int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.cfg.Now()
	l.lastID = max(l.lastID+1, now.UnixMicro())
	l.changes = append(l.changes, sweepChange{id: l.lastID, at: now, begins: &s})
	return l.lastID
}

// End notes how a sweep ended.
func (l *Log) End(id int64, e Ended) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes = append(l.changes, sweepChange{id: id, at: l.cfg.Now(), end: e})
}
