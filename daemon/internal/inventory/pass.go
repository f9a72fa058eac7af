package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"sonde/daemon/internal/fault"
)

// A Pass is one sweep of a scope: all Ports of all Targets but Exclude.
type Pass struct {
	Watch   string
	Zone    string
	Method  string // as in Visit; "udp:…" and "raw-udp:…" cover UDP ports, all others TCP ports
	Targets []netip.Prefix
	Exclude []netip.Prefix
	Partial bool   // Exclude has hosts that were left out this once: no scope of its own
	Ports   string // as ports.Set writes them: "22,80,8000-8100"

	Started time.Time
	Done    time.Time

	// Degraded says that the pass proves nothing absent: packets were
	// dropped, an interface was lost, or the budget did not suffice.
	Degraded bool
}

// PassStarted notes that a pass has begun.
func (s *Store) PassStarted(ctx context.Context, p Pass) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.transact(ctx, func(tx *transaction) error {
		return tx.upsertPass(&p, `insert into passes
			(watch, zone, method, targets, exclude, ports, begun) values (?, ?, ?, ?, ?, ?, ?)
			on conflict do update set begun = excluded.begun`, nanos(p.Started))
	})
	if err != nil {
		return fmt.Errorf("pass of watch %s begins: %w", p.Watch, err)
	}
	return nil
}

// PassDone notes that a pass came to its end. All that it found must have
// been applied before: from now on, what is not known in its scope counts as
// having been absent. The first complete pass of a scope is told as
// watch.baselined. A degraded pass changes nothing.
func (s *Store) PassDone(ctx context.Context, p Pass) error {
	if p.Degraded {
		return nil
	}
	covered, err := scopeOf(&p)
	if err != nil {
		return fmt.Errorf("pass of watch %s ends: ports: %w", p.Watch, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fault.Point("store.pass.before")
	var known coverage
	err = s.transact(ctx, func(tx *transaction) error {
		first, err := tx.passIsFirst(&p)
		if err != nil {
			return err
		}
		err = tx.upsertPass(&p, `insert into passes
			(watch, zone, method, targets, exclude, ports, begun, started, done)
			values (?, ?, ?, ?, ?, ?, 0, ?, ?) on conflict do update set
			begun = 0, started = excluded.started, done = excluded.done`,
			nanos(p.Started), nanos(p.Done))
		if err == nil {
			err = tx.boundPasses()
		}
		if err == nil {
			err = tx.finish(&p)
		}
		if err == nil && first && !p.Partial {
			err = tx.tellBaselined(&p, &covered)
		}
		if err != nil {
			return err
		}
		return known.load(tx.ctx, tx.conn)
	})
	if err != nil {
		return fmt.Errorf("pass of watch %s ends: %w", p.Watch, err)
	}
	s.coverage = known
	fault.Point("store.pass.after")
	return nil
}

func (tx *transaction) upsertPass(p *Pass, text string, times ...any) error {
	values, err := p.columns()
	if err == nil {
		_, err = tx.conn.ExecContext(tx.ctx, text, append(values, times...)...)
	}
	return err
}

// columns gives the values that make up the scope of the pass, in one form
// for each scope.
func (p *Pass) columns() ([]any, error) {
	targets, err := prefixText(p.Targets)
	if err != nil {
		return nil, err
	}
	exclude, err := prefixText(p.Exclude)
	return []any{p.Watch, p.Zone, p.Method, targets, exclude, p.Ports}, err
}

func prefixText(list []netip.Prefix) (string, error) {
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, netip.Prefix.Compare)
	sorted = slices.Compact(sorted)
	if sorted == nil {
		sorted = []netip.Prefix{}
	}
	text, err := json.Marshal(sorted)
	return string(text), err
}

func (tx *transaction) passIsFirst(p *Pass) (bool, error) {
	values, err := p.columns()
	if err != nil {
		return false, err
	}
	var n int
	err = tx.conn.QueryRowContext(tx.ctx, `select count(*) from passes where watch = ? and zone = ?
		and method = ? and targets = ? and exclude = ? and ports = ? and done > 0`,
		values...).Scan(&n)
	return n == 0, err
}

// boundPasses forgets the scopes beyond MaxScopes that were covered longest
// ago: of old configurations.
func (tx *transaction) boundPasses() error {
	_, err := tx.conn.ExecContext(tx.ctx, `delete from passes where id in
		(select id from passes order by max(begun, done) desc limit -1 offset ?)`, MaxScopes)
	return err
}
