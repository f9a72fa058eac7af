package sent

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"sonde/daemon/internal/sqlfile"
)

// A Query asks what was sent to an address.
type Query struct {
	Addr         netip.Addr
	Since, Until time.Time
	Most         int // contacts that are given, the newest; required
}

// An Answer is what the log knows. Contacts and sweeps come in the order in
// which they began.
type Answer struct {
	Addr     netip.Addr `json:"addr"`
	Since    time.Time  `json:"since"`
	Until    time.Time  `json:"until"`
	Contacts []Contact  `json:"contacts"`
	Sweeps   []Swept    `json:"sweeps"`         // that the address was in
	More     bool       `json:"more,omitempty"` // there are more contacts, older ones

	// What the answer is worth: the times in which the log was kept, of this
	// query's, and what it lost.
	Kept []Span `json:"kept"`
	Lost []Gap  `json:"lost,omitempty"`
	// Pruned is set where contacts that ended before it, in the time that was
	// asked about, are gone, for want of room or by age.
	Pruned *time.Time `json:"pruned,omitempty"`
}

// A Contact is one connection, or one UDP socket that something was sent from.
type Contact struct {
	Begun     time.Time  `json:"begun"`
	Ended     time.Time  `json:"ended"`
	Transport string     `json:"transport"`
	From      netip.Addr `json:"from,omitzero"` // not known of UDP
	Source    uint16     `json:"source_port"`
	Port      uint16     `json:"port"`
	Said      []string   `json:"sent,omitempty"`
	Why       string     `json:"end,omitempty"`       // "" when we ended it
	Interface string     `json:"interface,omitempty"` // that it was bound to, if to any
}

// A Swept is a sweep whose addresses hold the one that was asked about.
type Swept struct {
	Begun     time.Time  `json:"begun"`
	Ended     *time.Time `json:"ended,omitempty"` // absent: still under way, or killed
	Method    string     `json:"method"`
	Transport string     `json:"transport"`
	Ports     string     `json:"ports"`
	Sources   string     `json:"source_ports,omitempty"` // absent: any
	Targets   uint64     `json:"targets,omitempty"`      // endpoints, of all its addresses
	Tries     uint64     `json:"tries,omitempty"`        // packets or connects, to all of them
	Why       string     `json:"end,omitempty"`          // absent: complete
	Interface string     `json:"interface,omitempty"`    // that it was bound to, if to any
}

// A Span is a time in which the log was kept.
type Span struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Killed says that the sensor ended without notice: what it had under way
	// then, and the second before, is missing.
	Killed bool `json:"killed,omitempty"`
}

// A Gap is what the log could not keep.
type Gap struct {
	At  time.Time `json:"at"`
	N   int       `json:"contacts,omitempty"` // 0: not known
	Why string    `json:"reason"`
}

// Find looks into the log at path. It needs no permission to write, and holds up
// nobody who writes to it.
func Find(ctx context.Context, path string, q Query) (a Answer, err error) {
	a = Answer{Addr: q.Addr.Unmap(), Since: q.Since, Until: q.Until, Contacts: []Contact{}, Sweeps: []Swept{}, Kept: []Span{}}
	db, err := openReader(ctx, path)
	if err != nil {
		return a, fmt.Errorf("read log of what was sent: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	from, to := q.Since.UnixMicro(), q.Until.UnixMicro()
	for _, part := range []func() error{
		func() error { return a.findContacts(ctx, db, from, to, q.Most) },
		func() error { return a.findSweeps(ctx, db, from, to) },
		func() error { return a.findRuns(ctx, db, from, to) },
		func() error { return a.findGaps(ctx, db, from, to) },
	} {
		if err := part(); err != nil {
			return a, fmt.Errorf("read log of what was sent: %w", err)
		}
	}
	return a, nil
}

// openReader opens a log that is written to, or one at rest, to which the reader
// may not be allowed to add the files that SQLite wants beside it.
func openReader(ctx context.Context, path string) (*sql.DB, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not there: no sensor with this state directory has run, or its [sent] is off: %w", path, err)
	} else if err != nil {
		return nil, err
	}
	names := []string{sqlfile.DSN(path, "ro", "busy_timeout(5000)", "query_only(on)")}
	if _, err := os.Stat(path + "-wal"); errors.Is(err, fs.ErrNotExist) {
		names = append(names, names[0]+"&immutable=1")
	}
	var failed error
	for _, name := range names {
		db, err := sql.Open("sqlite", name)
		if err != nil {
			return nil, err
		}
		var id, version int
		err = db.QueryRowContext(ctx, "select * from pragma_application_id, pragma_user_version").Scan(&id, &version)
		if err == nil && (id != applicationID || version != schemaVersion) {
			err = fmt.Errorf("%s is no log that this program knows (schema %d of %#x)", path, version, id)
		}
		if err == nil {
			return db, nil
		}
		failed = errors.Join(err, db.Close())
	}
	return nil, failed
}

func (a *Answer) findContacts(ctx context.Context, db *sql.DB, from, to int64, most int) error {
	rows, err := db.QueryContext(ctx, `select begun, ended, port, transport, local, source, said, why, interface from contacts
		where addr = ? and begun <= ? and ended >= ? order by begun desc limit ?`, a.Addr.AsSlice(), to, from, most+1)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var c Contact
		var begun, ended int64
		var local []byte
		var said string
		if err := rows.Scan(&begun, &ended, &c.Port, &c.Transport, &local, &c.Source, &said, &c.Why, &c.Interface); err != nil {
			return err
		}
		c.Begun, c.Ended, c.Said = time.UnixMicro(begun), time.UnixMicro(ended), strings.Fields(said)
		c.From, _ = netip.AddrFromSlice(local)
		a.Contacts = append(a.Contacts, c)
	}
	if a.More = len(a.Contacts) > most; a.More {
		a.Contacts = a.Contacts[:most]
	}
	slices.Reverse(a.Contacts)
	return rows.Err()
}

func (a *Answer) findSweeps(ctx context.Context, db *sql.DB, from, to int64) error {
	rows, err := db.QueryContext(ctx, `select begun, ended, method, transport, addrs, ports, sources, targets, tries, why, interface
		from sweeps where begun <= ? and coalesce(ended, ?) >= ? order by begun`, to, to, from)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var s Swept
		var begun int64
		var ended sql.NullInt64
		var addrs string
		if err := rows.Scan(&begun, &ended, &s.Method, &s.Transport, &addrs, &s.Ports, &s.Sources, &s.Targets, &s.Tries, &s.Why, &s.Interface); err != nil {
			return err
		}
		if !ContainsAddr(addrs, a.Addr) {
			continue
		}
		s.Begun = time.UnixMicro(begun)
		if ended.Valid {
			t := time.UnixMicro(ended.Int64)
			s.Ended = &t
		}
		a.Sweeps = append(a.Sweeps, s)
	}
	return rows.Err()
}

func (a *Answer) findRuns(ctx context.Context, db *sql.DB, from, to int64) error {
	rows, err := db.QueryContext(ctx, `select begun, alive, ended is null and begun < (select max(begun) from runs)
		from runs where begun <= ? and alive >= ? order by begun`, to, from)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var s Span
		var begun, alive int64
		if err := rows.Scan(&begun, &alive, &s.Killed); err != nil {
			return err
		}
		s.From, s.To = time.UnixMicro(begun), time.UnixMicro(alive)
		a.Kept = append(a.Kept, s)
	}
	return rows.Err()
}

func (a *Answer) findGaps(ctx context.Context, db *sql.DB, from, to int64) error {
	rows, err := db.QueryContext(ctx, "select at, lost, why from gaps where at between ? and ? order by at", from, to)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var g Gap
		var at int64
		if err := rows.Scan(&at, &g.N, &g.Why); err != nil {
			return err
		}
		g.At = time.UnixMicro(at)
		a.Lost = append(a.Lost, g)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	var until sql.NullInt64
	err = db.QueryRowContext(ctx, "select until from pruned where until >= ?", from).Scan(&until)
	if until.Valid {
		t := time.UnixMicro(until.Int64)
		a.Pruned = &t
	}
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// ContainsAddr says whether ranges, as a [Sweep] has them ("192.0.2.0-192.0.2.255
// 198.51.100.7"), hold the address. A range that is not well formed holds none.
func ContainsAddr(ranges string, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for r := range strings.FieldsSeq(ranges) {
		first, last, two := strings.Cut(r, "-")
		lo, err := netip.ParseAddr(first)
		hi := lo
		if two && err == nil {
			hi, err = netip.ParseAddr(last)
		}
		lo, hi = lo.WithZone(""), hi.WithZone("")
		if err == nil && lo.BitLen() == a.BitLen() && lo.Compare(a) <= 0 && a.Compare(hi) <= 0 {
			return true
		}
	}
	return false
}
