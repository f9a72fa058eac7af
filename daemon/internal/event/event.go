// Package event is the contract of what Sonde tells: the [Event] object, its
// actions, severities and causes. It decides nothing and sends nothing:
// package inventory makes events, package emit delivers them.
package event

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"sonde/probes"
)

// Schema names the version of the event object.
const Schema = "sonde/1"

// Action is the class of an event.
type Action string

// The actions.
const (
	SensorStarted       Action = "sensor.started"
	SensorStopped       Action = "sensor.stopped"
	SensorHeartbeat     Action = "sensor.heartbeat"
	SensorDegraded      Action = "sensor.degraded"
	SensorRecovered     Action = "sensor.recovered"
	WatchBaselined      Action = "watch.baselined"
	WatchRetired        Action = "watch.retired"
	ServiceBaseline     Action = "service.baseline"
	ServiceNew          Action = "service.new"
	ServiceChanged      Action = "service.changed"
	ServiceGone         Action = "service.gone"
	ServiceReturned     Action = "service.returned"
	ServiceUnverified   Action = "service.unverified"
	ServiceReclassified Action = "service.reclassified"
	HostDistress        Action = "host.distress"
	HostRecovered       Action = "host.recovered"
)

// Severity is how much an event matters.
type Severity string

// The severities, mildest first.
const (
	Info    Severity = "info"
	Notice  Severity = "notice"
	Warning Severity = "warning"
	Error   Severity = "error"
)

// Cause is why the inventory differs from before.
type Cause string

// The causes.
const (
	CauseTarget   Cause = "target"   // the scanned host changed
	CauseDatabase Cause = "database" // our signatures changed
	CauseEngine   Cause = "engine"   // our matching changed
	CauseConfig   Cause = "config"   // our configuration changed
	CausePath     Cause = "path"     // the way to the target changed
	CauseSelf     Cause = "self"     // we were blocked, paused, degraded
)

// ChangeKind is the weightiest of the changed fields.
type ChangeKind string

// The kinds of a change, weightiest first.
const (
	KindService   ChangeKind = "service"
	KindProduct   ChangeKind = "product"
	KindVersion   ChangeKind = "version"
	KindAttribute ChangeKind = "attribute"
)

// An Event is one thing told. Seq, ID and Sensor are set when it is committed
// to the outbox, and never change afterwards.
type Event struct {
	Schema        string     `json:"schema"`
	ID            string     `json:"id"`
	Epoch         int64      `json:"epoch"` // Unix nanoseconds of the store's creation
	Seq           int64      `json:"seq"`   // gapless within the epoch, from 1
	CorrelationID string     `json:"correlation_id,omitempty"`
	Timestamp     time.Time  `json:"@timestamp"` // of the decision, UTC
	ObservedAt    time.Time  `json:"observed_at,omitzero"`
	Sensor        Sensor     `json:"sensor"`
	Action        Action     `json:"action"`
	Severity      Severity   `json:"severity"`
	Cause         Cause      `json:"cause,omitempty"`
	Message       string     `json:"message"` // one line for people
	Watch         string     `json:"watch,omitempty"`
	Zone          string     `json:"zone,omitempty"`
	Reason        string     `json:"reason,omitempty"` // service.gone: closed or filtered
	ChangeKind    ChangeKind `json:"change_kind,omitempty"`
	Changed       []string   `json:"changed,omitempty"` // names of the fields that differ

	Endpoint *probes.Observation `json:"endpoint,omitempty"`
	Previous *probes.Observation `json:"previous,omitempty"`
	Evidence *probes.Evidence    `json:"evidence,omitempty"` // answer cut to MaxAnswer

	AbsentAt      time.Time      `json:"absent_at,omitzero"` // service.new: when a sweep found nothing there
	FirstSeen     time.Time      `json:"first_seen,omitzero"`
	LastSeen      time.Time      `json:"last_seen,omitzero"`
	Confirmations int            `json:"confirmations,omitempty"` // agreeing visits behind the event
	Counts        map[string]int `json:"counts,omitempty"`        // watch.baselined, heartbeat
	PreviousEnd   string         `json:"previous_end,omitempty"`  // sensor.started: clean, crash or first
	GapSeconds    int64          `json:"gap_s,omitempty"`         // sensor.started: since the last sign of life
}

// Sensor names the sender.
type Sensor struct {
	Name    string `json:"name"`
	UUID    string `json:"uuid"`
	Version string `json:"version"`
}

// MaxAnswer is how many bytes of an answer an event carries.
const MaxAnswer = 512

// Key names an endpoint across restarts and renamed watches.
type Key struct {
	Zone      string
	Addr      netip.Addr
	Transport probes.Transport
	Port      uint16
}

// String gives "zone/addr/transport/port".
func (k Key) String() string {
	return fmt.Sprintf("%s/%s/%s/%d", k.Zone, k.Addr, k.Transport, k.Port)
}

// CorrelationID is the same for all events of one endpoint on every sensor:
// the first 16 bytes of SHA-256 over the key, in hex.
func (k Key) CorrelationID() string { return digest(k.String()) }

// ID derives the event's id from sensor, epoch and sequence number, so that a
// receiver can drop what it has seen: the first 16 bytes of SHA-256, in hex.
func ID(sensorUUID string, epoch, seq int64) string {
	return digest(fmt.Sprintf("%s/%d/%d", sensorUUID, epoch, seq))
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// DefaultSeverity is the severity of an action where no other rule applies;
// see SeverityOf.
func DefaultSeverity(a Action) Severity {
	switch a {
	case ServiceUnverified, ServiceReturned:
		return Notice
	case ServiceNew, ServiceChanged, ServiceGone:
		return Warning
	case SensorDegraded, HostDistress:
		return Error
	default:
		return Info
	}
}

// SeverityOf is the severity of an event of this action and kind: a change of
// version or attribute is a notice, one of product or service a warning.
func SeverityOf(a Action, k ChangeKind) Severity {
	if a == ServiceChanged && (k == KindVersion || k == KindAttribute) {
		return Notice
	}
	return DefaultSeverity(a)
}

// Target is the endpoint for people: "192.0.2.1:22/tcp", or "" without one.
func (e *Event) Target() string {
	if e.Endpoint == nil {
		return ""
	}
	ap := netip.AddrPortFrom(e.Endpoint.Addr, e.Endpoint.Port)
	return strings.Join([]string{ap.String(), string(e.Endpoint.Transport)}, "/")
}
