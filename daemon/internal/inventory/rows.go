package inventory

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// A row is an endpoint as the tables hold it, with the texts that were read,
// so that only what differs is written back.
type row struct {
	id         int64 // 0: not in the tables
	endpoint   Endpoint
	state      string
	identities []identityRow
}

type identityRow struct {
	database    string
	observation string
	evidence    *probes.Evidence
	fingerprint string
}

// state is the part of an Endpoint that nobody searches for: one JSON text.
type state struct {
	AbsentAt     time.Time           `json:"absent_at,omitzero"`
	Pending      *pendingState       `json:"pending,omitempty"`
	Closed       *Streak             `json:"closed,omitempty"`
	Silent       *Streak             `json:"silent,omitempty"`
	Unsure       *Streak             `json:"unsure,omitempty"`
	Known        map[string][]string `json:"known,omitempty"`
	Asked        []string            `json:"asked,omitempty"`
	Certificates []KnownCertificate  `json:"certificates,omitempty"`
	Swing        *swingState         `json:"swing,omitempty"`
	Way          string              `json:"way,omitempty"`
	MAC          string              `json:"mac,omitempty"`
}

// pendingState adds what an observation's own JSON form leaves out.
type pendingState struct {
	Pending
	Database string `json:"database,omitempty"`
}

func encodeState(e *Endpoint) (string, error) {
	s := state{
		AbsentAt: e.AbsentAt, Known: e.Known, Asked: e.Asked, Way: e.Way, MAC: e.MAC,
		Certificates: e.Certificates, Swing: encodeSwing(&e.Swing),
		Closed: streakOrNil(e.Closed), Silent: streakOrNil(e.Silent), Unsure: streakOrNil(e.Unsure),
	}
	if e.Pending != nil {
		p := pendingState{Pending: *e.Pending, Database: e.Pending.Candidate.Database}
		// The visit that concludes brings its own.
		p.Candidate.Evidence, p.Candidate.Fingerprint = nil, ""
		s.Pending = &p
	}
	b, err := json.Marshal(&s)
	return string(b), err
}

func decodeState(text string, brief bool, e *Endpoint) error {
	if brief && !strings.Contains(text, `"swing":`) {
		return nil // most: decoding takes longer than reading does
	}
	var s state
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return fmt.Errorf("state of %s: %w", e.Key, err)
	}
	if brief {
		e.Swing.Unstable = s.Swing.decode().Unstable
		return nil
	}
	e.AbsentAt, e.Known, e.Asked, e.Way, e.MAC = s.AbsentAt, s.Known, s.Asked, s.Way, s.MAC
	e.Certificates, e.Swing = s.Certificates, s.Swing.decode()
	e.Closed, e.Silent, e.Unsure = streakOf(s.Closed), streakOf(s.Silent), streakOf(s.Unsure)
	if s.Pending != nil {
		p := s.Pending.Pending
		p.Candidate.Database = s.Pending.Database
		e.Pending = &p
	}
	return nil
}

func streakOrNil(s Streak) *Streak {
	if s.Count == 0 {
		return nil
	}
	return &s
}

func streakOf(s *Streak) Streak {
	if s == nil {
		return Streak{}
	}
	return *s
}

// encodeIdentity splits an identity into its text, its evidence and its
// fingerprint.
func encodeIdentity(o *probes.Observation) (identityRow, error) {
	r := identityRow{database: o.Database, evidence: o.Evidence, fingerprint: o.Fingerprint}
	c := *o
	c.Evidence, c.Fingerprint = nil, ""
	b, err := json.Marshal(&c)
	r.observation = string(b)
	return r, err
}

func (r *identityRow) decode() (o probes.Observation, err error) {
	if err := json.Unmarshal([]byte(r.observation), &o); err != nil {
		return o, fmt.Errorf("identity: %w", err)
	}
	o.Database, o.Evidence, o.Fingerprint = r.database, r.evidence, r.fingerprint
	return o, nil
}

func encodeIdentities(e *Endpoint) ([]identityRow, error) {
	rows := make([]identityRow, 0, 1+len(e.Others))
	for i := -1; i < len(e.Others); i++ {
		o := &e.Current
		if i >= 0 {
			o = &e.Others[i]
		}
		if !o.Addr.IsValid() {
			continue // a candidate has no identity yet
		}
		r, err := encodeIdentity(o)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func (r *identityRow) equal(s *identityRow) bool {
	return r.database == s.database && r.observation == s.observation
}

func equalEvidence(a, b *probes.Evidence) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Probe == b.Probe && a.Rule == b.Rule && a.Database == b.Database &&
		a.Truncated == b.Truncated && bytes.Equal(a.Answer, b.Answer)
}

// endpointColumns and identityColumns are what scanRow reads, in its order.
const (
	endpointColumns = `e.id, e.zone, e.addr, e.transport, e.port, e.watch, e.status,
		e.retired, e.unverified, e.first_seen, e.last_seen, e.last_visited,
		e.last_verified, e.next_at, e.next_why, e.state`
	identityColumns = `i.place, i.database, i.observation,
		v.probe, v.rule, v.database, v.answer, v.truncated, f.text`
	identityJoin = `left join identities i on i.endpoint = e.id
		left join evidence v on v.endpoint = e.id and v.place = i.place
		left join fingerprints f on f.endpoint = e.id and f.place = i.place`
)

// collect reads rows of endpointColumns and identityColumns that are ordered
// by endpoint and place, and yields each endpoint with all its identities; brief
// is Filter.Brief. It stops when yield returns false.
func collect(rows *sql.Rows, brief bool, yield func(*row) bool) error {
	var cur *row
	flush := func() (bool, error) {
		if cur == nil {
			return true, nil
		}
		if err := cur.assemble(brief); err != nil {
			return false, err
		}
		return yield(cur), nil
	}
	for rows.Next() {
		next, identity, err := scanRow(rows)
		if err != nil {
			return err
		}
		if cur == nil || cur.id != next.id {
			if more, err := flush(); err != nil || !more {
				return err
			}
			cur = next
		}
		if identity != nil {
			cur.identities = append(cur.identities, *identity)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	_, err := flush()
	return err
}

func scanRow(rows *sql.Rows) (*row, *identityRow, error) {
	var (
		r                                       row
		e                                       = &r.endpoint
		addr                                    string
		first, last, visited, verified, next    int64
		place                                   sql.NullInt64
		database, observation                   sql.NullString
		evidenceProbe, evidenceRule, evidenceDB sql.NullString
		answer                                  []byte
		truncated                               sql.NullBool
		fingerprint                             sql.NullString
	)
	err := rows.Scan(&r.id, &e.Key.Zone, &addr, &e.Key.Transport, &e.Key.Port, &e.Watch, &e.Status,
		&e.Retired, &e.Unverified, &first, &last, &visited, &verified, &next, &e.Next.Why, &r.state,
		&place, &database, &observation,
		&evidenceProbe, &evidenceRule, &evidenceDB, &answer, &truncated, &fingerprint)
	if err != nil {
		return nil, nil, err
	}
	if e.Key.Addr, err = netip.ParseAddr(addr); err != nil {
		return nil, nil, fmt.Errorf("endpoint %d: %w", r.id, err)
	}
	e.FirstSeen, e.LastSeen, e.LastVisited = timeOf(first), timeOf(last), timeOf(visited)
	e.LastVerified, e.Next.At = timeOf(verified), timeOf(next)
	if !place.Valid {
		return &r, nil, nil
	}
	i := &identityRow{database: database.String, observation: observation.String, fingerprint: fingerprint.String}
	if evidenceProbe.Valid {
		i.evidence = &probes.Evidence{Probe: evidenceProbe.String, Rule: evidenceRule.String,
			Database: evidenceDB.String, Answer: slices.Clone(answer), Truncated: truncated.Bool}
	}
	return &r, i, nil
}

// assemble decodes the texts of the row into its endpoint.
func (r *row) assemble(brief bool) error {
	e := &r.endpoint
	if err := decodeState(r.state, brief, e); err != nil {
		return err
	}
	for i := range r.identities {
		o, err := r.identities[i].decode()
		if err != nil {
			return fmt.Errorf("%s: %w", e.Key, err)
		}
		o.Addr = e.Key.Addr // its machine may have moved since
		if i == 0 {
			e.Current = o
		} else {
			e.Others = append(e.Others, o)
		}
	}
	return nil
}

// columns gives the values of an endpoint in the order of saveSQL.
func columns(e *Endpoint, state string) []any {
	k := e.Key
	return []any{k.Zone, k.Addr.String(), string(k.Transport), int64(k.Port),
		e.Watch, string(e.Status), e.Retired, e.Unverified,
		e.Current.Service, e.Current.Product, e.Current.Version,
		nanos(e.FirstSeen), nanos(e.LastSeen), nanos(e.LastVisited), nanos(e.LastVerified),
		nanos(e.Next.At), string(e.Next.Why), state}
}

// sameButTimes tells whether columns differ only in timeColumns, as they do
// after nearly each visit. Those are in no index but that of what is gone, so
// that writing them alone touches one page.
func sameButTimes(a, b *Endpoint) bool {
	x, y := &a.Current, &b.Current
	return a.Key == b.Key && a.Watch == b.Watch && a.Status == b.Status && a.Retired == b.Retired &&
		a.Unverified == b.Unverified && a.FirstSeen.Equal(b.FirstSeen) &&
		x.Service == y.Service && x.Product == y.Product && x.Version == y.Version
}

// timeColumns gives the values of an endpoint in the order of saveTimes.
func timeColumns(e *Endpoint, state string) []any {
	return []any{nanos(e.LastSeen), nanos(e.LastVisited), nanos(e.LastVerified),
		nanos(e.Next.At), string(e.Next.Why), state}
}

func keyColumns(k event.Key) []any {
	return []any{k.Zone, k.Addr.String(), string(k.Transport), int64(k.Port)}
}

// scanKey reads an id and the four columns of a key.
func scanKey(rows *sql.Rows, k *event.Key) (id int64, err error) {
	var addr string
	if err := rows.Scan(&id, &k.Zone, &addr, &k.Transport, &k.Port); err != nil {
		return 0, err
	}
	if k.Addr, err = netip.ParseAddr(addr); err != nil {
		return 0, fmt.Errorf("endpoint %d: %w", id, err)
	}
	return id, nil
}
