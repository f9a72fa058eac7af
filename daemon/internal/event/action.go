package event

// Action is the class of an event.
type Action string

// The actions: of the sensor, of a watch, of a service, of a certificate that
// a service shows, of a host.
const (
	SensorStarted   Action = "sensor.started"
	SensorStopped   Action = "sensor.stopped"
	SensorHeartbeat Action = "sensor.heartbeat"
	SensorDegraded  Action = "sensor.degraded"
	SensorRecovered Action = "sensor.recovered"

	WatchBaselined   Action = "watch.baselined"
	WatchRetired     Action = "watch.retired"
	WatchOverdue     Action = "watch.overdue"     // a promise is broken
	WatchRecovered   Action = "watch.recovered"   // from overdue or unreachable; Reason says which
	WatchUnreachable Action = "watch.unreachable" // more of it is missing than hosts go at once
	WatchMassChange  Action = "watch.mass_change" // more of it changed alike than services do at once

	ServiceBaseline     Action = "service.baseline"
	ServiceNew          Action = "service.new"
	ServiceChanged      Action = "service.changed"
	ServiceGone         Action = "service.gone"
	ServiceReturned     Action = "service.returned"
	ServiceUnverified   Action = "service.unverified"
	ServiceReclassified Action = "service.reclassified"
	ServiceUnstable     Action = "service.unstable"
	ServiceStable       Action = "service.stable"

	CertificateRenewed  Action = "certificate.renewed" // same names and issuer
	CertificateChanged  Action = "certificate.changed" // of issuer or names
	CertificateExpiring Action = "certificate.expiring"
	CertificateExpired  Action = "certificate.expired"

	HostNew               Action = "host.new"
	HostGone              Action = "host.gone"
	HostReturned          Action = "host.returned"
	HostMoved             Action = "host.moved" // the same machine at another address
	HostAnswersEverything Action = "host.answers_everything"
	HostDistress          Action = "host.distress"
	HostRecovered         Action = "host.recovered" // from distress or from answering everything
)

// Actions gives every action, in the order of their declaration. The slice is
// the caller's own.
func Actions() []Action {
	return []Action{
		SensorStarted, SensorStopped, SensorHeartbeat, SensorDegraded, SensorRecovered,
		WatchBaselined, WatchRetired, WatchOverdue, WatchRecovered, WatchUnreachable, WatchMassChange,
		ServiceBaseline, ServiceNew, ServiceChanged, ServiceGone, ServiceReturned,
		ServiceUnverified, ServiceReclassified, ServiceUnstable, ServiceStable,
		CertificateRenewed, CertificateChanged, CertificateExpiring, CertificateExpired,
		HostNew, HostGone, HostReturned, HostMoved, HostAnswersEverything, HostDistress, HostRecovered,
	}
}

// Severity is how much an event matters.
type Severity string

// The severities, mildest first.
const (
	Info    Severity = "info"
	Notice  Severity = "notice"
	Warning Severity = "warning"
	Error   Severity = "error"
)

// DefaultSeverity is the severity of an action where no other rule applies;
// see SeverityOf.
func DefaultSeverity(a Action) Severity {
	switch a {
	case ServiceUnverified, ServiceReturned, HostMoved, HostGone:
		return Notice
	case ServiceNew, ServiceChanged, ServiceGone, ServiceUnstable,
		CertificateChanged, CertificateExpiring, WatchMassChange:
		return Warning
	case SensorDegraded, WatchOverdue, WatchUnreachable, HostDistress,
		HostAnswersEverything, CertificateExpired:
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

// Clock says whether the sensor's clock can be believed.
type Clock string

// The states of the clock. What depends on the date waits while it is not
// synced.
const (
	Synced   Clock = "synced"
	Unsynced Clock = "unsynced"
)
