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

// An Event is one thing told. Seq, ID and Sensor are set when it is committed
// to the outbox, and never change afterwards.
//
// Which fields an event has follows from its action: one of an endpoint has
// Endpoint with address and port, one of a host has Endpoint with the address
// alone, one of a watch or of the sensor has none.
type Event struct {
	Schema        string     `json:"schema"`
	ID            string     `json:"id"`
	Epoch         int64      `json:"epoch"` // Unix nanoseconds of the store's creation
	Seq           int64      `json:"seq"`   // gapless within the epoch, from 1
	CorrelationID string     `json:"correlation_id,omitempty"`
	Timestamp     time.Time  `json:"@timestamp"` // of the decision, UTC
	ObservedAt    time.Time  `json:"observed_at,omitzero"`
	Clock         Clock      `json:"clock,omitempty"` // the sensor's, at the decision
	Sensor        Sensor     `json:"sensor"`
	Action        Action     `json:"action"`
	Severity      Severity   `json:"severity"`
	Cause         Cause      `json:"cause,omitempty"`
	Message       string     `json:"message"` // one line for people
	Watch         string     `json:"watch,omitempty"`
	Zone          string     `json:"zone,omitempty"`
	VLAN          int        `json:"vlan,omitempty"`     // 1–4094, where the way to the target has one
	MAC           string     `json:"mac,omitempty"`      // of an on-link target: "02:00:5e:10:00:01"
	Expected      *bool      `json:"expected,omitempty"` // agrees with the accepted state; nil: none is configured for this
	Owner         string     `json:"owner,omitempty"`    // of the target, from the accepted state
	Silenced      bool       `json:"silenced,omitempty"` // by an operator or a maintenance window: only in the JSON file
	Reason        string     `json:"reason,omitempty"`   // service.gone: closed or filtered; service.unverified: the outcome; host.moved: mac or ssh_host_key
	ChangeKind    ChangeKind `json:"change_kind,omitempty"`
	Changed       []string   `json:"changed,omitempty"` // names of the fields that differ

	Endpoint *probes.Observation `json:"endpoint,omitempty"`
	Previous *probes.Observation `json:"previous,omitempty"`
	Evidence *probes.Evidence    `json:"evidence,omitempty"` // answer cut to MaxAnswer

	AbsentAt      time.Time      `json:"absent_at,omitzero"` // service.new, host.new: when a sweep found nothing there
	FirstSeen     time.Time      `json:"first_seen,omitzero"`
	LastSeen      time.Time      `json:"last_seen,omitzero"`
	Confirmations int            `json:"confirmations,omitempty"` // agreeing visits behind the event
	DaysLeft      *int           `json:"days_left,omitempty"`     // certificate.expiring, expired: whole days to its end; below 0: since
	Services      []Service      `json:"services,omitempty"`      // of a host: at most MaxServices
	ServicesCount int            `json:"services_count,omitempty"`
	Hosts         []string       `json:"hosts,omitempty"`        // of a watch: those concerned, at most MaxHosts
	Counts        map[string]int `json:"counts,omitempty"`       // watch.*, heartbeat
	PreviousEnd   string         `json:"previous_end,omitempty"` // sensor.started: clean, crash or first
	GapSeconds    int64          `json:"gap_s,omitempty"`        // sensor.started: since the last sign of life
}

// Service is one service of a host, in the host's own event.
type Service struct {
	Transport probes.Transport `json:"transport"`
	Port      uint16           `json:"port"`
	Service   string           `json:"service,omitempty"`
	Product   string           `json:"product,omitempty"`
}

// MaxServices and MaxHosts bound the lists of an event. With four values each,
// 32 services are 128 of the 200 values that an event may hold.
const (
	MaxServices = 32
	MaxHosts    = 32
)

// ReasonSink is before the name of a sink in the reason of an event about it.
const ReasonSink = "sink "

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

// Host is the host of the endpoint.
func (k Key) Host() Host { return Host{k.Zone, k.Addr} }

// CorrelationID is the same for all events of one endpoint on every sensor:
// the first 16 bytes of SHA-256 over the key, in hex.
func (k Key) CorrelationID() string { return digest(k.String()) }

// Host names an address across its endpoints.
type Host struct {
	Zone string
	Addr netip.Addr
}

// String gives "zone/addr".
func (h Host) String() string { return h.Zone + "/" + h.Addr.String() }

// CorrelationID is the same for all events of the host itself, as
// Key.CorrelationID is for those of an endpoint.
func (h Host) CorrelationID() string { return digest(h.String()) }

// ID derives the event's id from sensor, epoch and sequence number, so that a
// receiver can drop what it has seen: the first 16 bytes of SHA-256, in hex.
func ID(sensorUUID string, epoch, seq int64) string {
	return digest(fmt.Sprintf("%s/%d/%d", sensorUUID, epoch, seq))
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// Target is the endpoint for people: "192.0.2.1:22/tcp", the address alone for
// a host, or "" without either.
func (e *Event) Target() string {
	switch {
	case e.Endpoint == nil:
		return ""
	case e.Endpoint.Port == 0:
		return e.Endpoint.Addr.String()
	}
	ap := netip.AddrPortFrom(e.Endpoint.Addr, e.Endpoint.Port)
	return strings.Join([]string{ap.String(), string(e.Endpoint.Transport)}, "/")
}
