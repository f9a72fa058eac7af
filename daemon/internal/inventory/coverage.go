package inventory

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sonde/daemon/internal/event"
	"sonde/probes"
	"sonde/probes/ports"
)

// udpMethod begins the method of passes over UDP ports, behind rawMethod where
// packets of our own were sent; behind it stands the hash of what is sent.
const (
	udpMethod = "udp:"
	rawMethod = "raw-"
)

// A scope is what a pass covers.
type scope struct {
	zone, method string
	targets      []netip.Prefix
	exclude      []netip.Prefix
	ports        ports.Set
	started      time.Time // of the last complete pass
}

// coverage is every scope that was completely covered at least once, in the
// order of their last pass.
type coverage []scope

func scopeOf(p *Pass) (scope, error) {
	set, err := ports.ParseNumbers(p.Ports)
	if err != nil {
		return scope{}, err
	}
	return scope{zone: p.Zone, method: p.Method, targets: p.Targets, exclude: p.Exclude,
		ports: set, started: p.Started}, nil
}

func (s *scope) transport() probes.Transport {
	if strings.HasPrefix(strings.TrimPrefix(s.method, rawMethod), udpMethod) {
		return probes.UDP
	}
	return probes.TCP
}

func (s *scope) covers(k event.Key) bool {
	return s.zone == k.Zone && s.transport() == k.Transport && s.ports.Contains(k.Port) &&
		holds(s.targets, k.Addr) && !holds(s.exclude, k.Addr)
}

// holds tells whether one of the prefixes contains the address, whatever the
// interface that a link-local one names.
func holds(prefixes []netip.Prefix, a netip.Addr) bool {
	a = a.WithZone("")
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// absence tells when a complete pass of the visit's own method had found
// nothing at an endpoint that is not known: at the start of the last one, as
// nobody can say when within the pass its turn came, and whatever is found
// later did appear after that. A zero time means that no pass can vouch for
// it; then cause says why the endpoint was never looked at. A pass that began
// after the visit does not count, but one that began after now does: the clock
// was set back since.
func (c coverage) absence(v *Visit, now time.Time) (at time.Time, cause event.Cause) {
	cause = event.CauseConfig
	for i := range c {
		s := &c[i]
		if !s.covers(v.Key) || !s.started.Before(v.At) && !s.started.After(now) {
			continue
		}
		if s.method != v.Method {
			if v.Key.Transport == probes.UDP {
				cause = event.CauseDatabase // asked before, with other payloads
			}
			continue
		}
		if s.started.After(at) {
			at = s.started
		}
	}
	if !at.IsZero() {
		cause = ""
	}
	return at, cause
}

// load reads the coverage from the tables.
func (c *coverage) load(ctx context.Context, conn *sql.Conn) error {
	rows, err := conn.QueryContext(ctx, passesSQL+` where done > 0 order by done`)
	if err != nil {
		return err
	}
	defer rows.Close()
	*c = nil
	return scanPasses(rows, func(p Pass) error {
		s, err := scopeOf(&p)
		if err == nil {
			*c = append(*c, s)
		}
		return err
	})
}

const passesSQL = `select watch, zone, method, targets, exclude, ports, started, done from passes`

func scanPasses(rows *sql.Rows, yield func(Pass) error) error {
	for rows.Next() {
		var (
			p                Pass
			targets, exclude string
			started, done    int64
		)
		err := rows.Scan(&p.Watch, &p.Zone, &p.Method, &targets, &exclude, &p.Ports, &started, &done)
		if err != nil {
			return err
		}
		p.Started, p.Done = timeOf(started), timeOf(done)
		if err := json.Unmarshal([]byte(targets), &p.Targets); err != nil {
			return fmt.Errorf("targets of watch %s: %w", p.Watch, err)
		}
		if err := json.Unmarshal([]byte(exclude), &p.Exclude); err != nil {
			return fmt.Errorf("exclude of watch %s: %w", p.Watch, err)
		}
		if err := yield(p); err != nil {
			return err
		}
	}
	return rows.Err()
}
