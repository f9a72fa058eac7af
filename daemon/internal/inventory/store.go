package inventory

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/sqlfile"
)

// FileName is the store's file in the state directory.
const FileName = "sonde.db"

// What the writing connection may use.
const (
	pageSize = 4096 // SQLite's own
	// logPages is how long the log grows before it is written into the file.
	// Visits lie all over it: each changes two pages, and the pages of a log of
	// 64 MiB are written in one go, in their order.
	logPages = 16 << 10
	// cacheMost is how many bytes of the file are kept in memory: the index of a
	// million endpoints takes 40 MiB, the inner pages of the tables some more.
	cacheMost = 64 << 20
)

// MaxLog is how many bytes the log beside the file takes, as a rule: it grows
// beyond for as long as somebody reads.
const MaxLog = logPages * pageSize

// Config is what a store is opened with.
type Config struct {
	Dir     string // the state directory; made when missing, mode 0750
	Sensor  string // name of this sensor, in each event
	Version string // of this program, in each event

	// Rules are for all watches that Watches does not name. The zero Rules
	// stand for DefaultRules.
	Rules   Rules
	Watches map[string]Rules

	Keep Retention // the zero value stands for DefaultRetention

	// Dress adds to an event what the configuration knows of it, before it is
	// committed: whether it is expected, by whom its target is owned, another
	// severity. May be nil. See SetDress.
	Dress func(*event.Event)

	// Clock says whether the clock can be believed, "" or nil where that is not
	// known. While it is Unsynced no certificate is judged by the date.
	Clock func() event.Clock

	Now  func() time.Time // time.Now when nil
	Rand io.Reader        // for the sensor's UUID; crypto/rand when nil
	Log  *slog.Logger     // discarded when nil
}

// A Store is the inventory on disk, opened for writing. Its reading methods
// are those of [Reader] and never wait for a writing one.
type Store struct {
	*Reader
	now    func() time.Time
	state  func() event.Clock // of the clock
	log    *slog.Logger
	lock   *os.File
	db     *sql.DB
	before previous
	closed sync.Once
	failed error // of Close

	path string                // of the file
	file os.FileInfo           // what is open
	over atomic.Bool           // see Overfull
	sick atomic.Pointer[error] // after which the store is not used; see Ailing

	// mu guards all below: there is one writer at a time.
	mu       sync.Mutex
	conn     *sql.Conn // the only connection of db
	stmts    statements
	silenced func(*event.Event, time.Time) bool // nil: none is
	rules    Rules
	watches  map[string]Rules
	dress    func(*event.Event)
	sensor   event.Sensor
	epoch    int64
	seq      int64 // of the last event committed
	coverage coverage
	keep     Retention

	wakes []chan struct{}
}

// previous is how the run before this one ended.
type previous struct {
	end   string // clean, crash or first
	alive time.Time
}

// Open opens the store in cfg.Dir for writing, and makes it when there is
// none. After an unclean end it checks the file first, which takes about a
// second per 500 MiB. Its error is an [OpenError].
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s := newStore(cfg)
	path := filepath.Join(cfg.Dir, FileName)
	if err := os.MkdirAll(cfg.Dir, 0o750); err != nil {
		return nil, openError(cfg.Dir, err)
	}
	var err error
	if s.lock, err = lockDir(ctx, cfg.Dir); err != nil {
		return nil, openError(cfg.Dir, err)
	}
	if err := s.open(ctx, path, cfg); err != nil {
		s.release()
		return nil, openError(path, err)
	}
	return s, nil
}

func newStore(cfg Config) *Store {
	s := &Store{now: cfg.Now, state: cfg.Clock, dress: cfg.Dress, log: cfg.Log}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.setRules(cfg.Rules, cfg.Watches)
	s.setRetention(cfg.Keep)
	return s
}

func (s *Store) open(ctx context.Context, path string, cfg Config) (err error) {
	if err := sqlfile.Touch(path); err != nil {
		return err
	}
	if s.file, err = os.Stat(path); err != nil {
		return err
	}
	s.path = path
	if err := syncDir(cfg.Dir); err != nil { // a synced commit needs a file that is found again
		return err
	}
	s.db, err = sql.Open("sqlite", sqlfile.DSN(path, "rwc",
		"busy_timeout(5000)",
		"auto_vacuum(incremental)", // before the first table is made
		"journal_mode(wal)",
		"synchronous(full)", // a commit is on disk before a sink may see it
		fmt.Sprintf("journal_size_limit(%d)", MaxLog),
		fmt.Sprintf("wal_autocheckpoint(%d)", logPages),
		fmt.Sprintf("cache_size(%d)", -cacheMost>>10), // in KiB where it is below 0
		"foreign_keys(on)"))
	if err != nil {
		return err
	}
	s.db.SetMaxOpenConns(1)
	if s.conn, err = s.db.Conn(ctx); err != nil {
		return err
	}
	if err := migrate(ctx, s.conn, path); err != nil {
		return err
	}
	if err := s.begin(ctx, cfg); err != nil {
		return err
	}
	if err := s.stmts.prepare(ctx, s.conn); err != nil {
		return err
	}
	if err := s.coverage.load(ctx, s.conn); err != nil {
		return err
	}
	s.Reader, err = newReader(ctx, path, "")
	return err
}

// begin reads who we are and how the run before this one ended, checks the
// file if that was a crash, and notes that this one has not ended yet.
func (s *Store) begin(ctx context.Context, cfg Config) error {
	m, err := readMeta(ctx, s.conn)
	if err != nil {
		return err
	}
	if m.uuid == "" {
		if m, err = s.found(ctx, cfg.Rand); err != nil {
			return err
		}
	}
	// What a host that nobody heard of since said of itself is of no use.
	_, err = s.conn.ExecContext(ctx, `delete from hosts where alive < ?`, nanos(s.now().Add(-s.keep.GoneFor)))
	if err != nil {
		return err
	}
	s.sensor = event.Sensor{Name: cfg.Sensor, UUID: m.uuid, Version: cfg.Version}
	s.epoch, s.seq, s.before = m.epoch, m.seq, m.previous()
	if s.before.end == endCrash {
		s.log.Warn("the last run did not end cleanly, checking the store", "dir", cfg.Dir)
		if err := quickCheck(ctx, s.conn); err != nil {
			return err
		}
	}
	return writeMeta(ctx, s.conn, metaClean, 0)
}

// found gives a new store its identity.
func (s *Store) found(ctx context.Context, random io.Reader) (m meta, err error) {
	if random == nil {
		random = rand.Reader
	}
	if m.uuid, err = newUUID(random); err != nil {
		return m, err
	}
	m.epoch, m.fresh = s.now().UnixNano(), true
	if err = writeMeta(ctx, s.conn, metaEpoch, m.epoch); err != nil {
		return m, err
	}
	if err = writeMeta(ctx, s.conn, metaSeq, 0); err != nil {
		return m, err
	}
	return m, writeMeta(ctx, s.conn, metaUUID, m.uuid) // last: it marks the others as there
}

func newUUID(random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("sensor uuid: %w", err)
	}
	b[6] = b[6]&0x0f | 0x40 // RFC 9562: version 4
	b[8] = b[8]&0x3f | 0x80 // and variant
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

// SetRules replaces the rules, for a new configuration. What is being
// confirmed goes on under the new ones.
func (s *Store) SetRules(all Rules, watches map[string]Rules) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setRules(all, watches)
}

// SetDress replaces Config.Dress, for a new configuration.
func (s *Store) SetDress(dress func(*event.Event)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dress = dress
}

func (s *Store) setRules(all Rules, watches map[string]Rules) {
	if all == (Rules{}) {
		all = DefaultRules()
	}
	s.rules, s.watches = all, watches
}

// SetRetention replaces what bounds the store, for a new configuration.
func (s *Store) SetRetention(keep Retention) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setRetention(keep)
}

func (s *Store) setRetention(keep Retention) {
	if keep == (Retention{}) {
		keep = DefaultRetention()
	}
	s.keep = keep
}

func (s *Store) rulesOf(watch string) Rules {
	if r, ok := s.watches[watch]; ok {
		return r
	}
	return s.rules
}

// Sensor is how this sensor signs its events.
func (s *Store) Sensor() event.Sensor { return s.sensor }

// Epoch is the Unix time of the store's creation in nanoseconds: sequence
// numbers count within it.
func (s *Store) Epoch() int64 { return s.epoch }

// NewEpoch lets sequence numbers begin anew, in an empty outbox without cursors:
// when receivers have seen more of this epoch than the store knows, as it is an
// older copy. It must be called before anything is recorded.
func (s *Store) NewEpoch(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if err := newEpoch(ctx, s.conn, now); err != nil {
		return err
	}
	s.epoch, s.seq = now.UnixNano(), 0
	return writeMeta(ctx, s.conn, metaClean, 0)
}

// Close notes a clean end and leaves the file so that it can be read without
// write permission. Later calls return what the first one did.
func (s *Store) Close() error {
	s.closed.Do(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		ctx := context.Background()
		if s.sick.Load() == nil { // else the next start had better look
			s.failed = errors.Join(
				writeMeta(ctx, s.conn, metaAlive, s.now().UnixNano()),
				writeMeta(ctx, s.conn, metaClean, 1),
			)
		}
		s.release()
	})
	return s.failed
}

// release closes what is open, the reader first: the last connection to go
// must be one that may fold the log into the file.
func (s *Store) release() {
	var errs []error
	if s.Reader != nil {
		errs = append(errs, s.Reader.Close())
	}
	if s.conn != nil {
		s.stmts.close()
		_, err := s.conn.ExecContext(context.Background(), "pragma wal_checkpoint(truncate)")
		errs = append(errs, err, s.conn.Close())
		s.conn = nil
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	if err := errors.Join(errs...); err != nil && !errors.Is(err, fs.ErrClosed) {
		s.log.Warn("store closed with an error", "err", err)
	}
}
