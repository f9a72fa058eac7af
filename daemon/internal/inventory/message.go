package inventory

import (
	"fmt"
	"strings"
	"time"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// maxMessage is the longest line for people, in bytes: with address, date and
// names it still fits a syslog message of 1 KiB.
const maxMessage = 480

// message is the event of an endpoint in one line for people.
func message(ev *event.Event) string {
	return cleanString(ev.Target()+": "+sentence(ev), maxMessage)
}

func sentence(ev *event.Event) string {
	is := describe(ev.Endpoint)
	switch ev.Action {
	case event.ServiceBaseline:
		return "first look finds " + is
	case event.ServiceNew:
		return "new service " + is + ", absent on " + stamp(ev.AbsentAt)
	case event.ServiceChanged:
		return strings.Join(ev.Changed, ", ") + " changed: was " +
			describe(ev.Previous) + ", is " + is
	case event.ServiceGone:
		return fmt.Sprintf("gone (%s): was %s, last seen %s", ev.Reason, is, stamp(ev.LastSeen))
	case event.ServiceReturned:
		if ev.Previous != nil {
			return "returned as " + is + ", was " + describe(ev.Previous)
		}
		return "returned: " + is
	case event.ServiceReclassified:
		return fmt.Sprintf("recognised anew (%s): was %s, is %s",
			ev.Cause, describe(ev.Previous), is)
	case event.ServiceUnverified:
		if ev.Previous != nil {
			return "no longer shows that it is " + describe(ev.Previous)
		}
		return fmt.Sprintf("could not be verified (%s): was %s", ev.Reason, is)
	case event.HostNew:
		return "new host, absent on " + stamp(ev.AbsentAt)
	case event.HostGone:
		return fmt.Sprintf("host gone with its %d services, last seen %s", ev.ServicesCount, stamp(ev.LastSeen))
	case event.HostReturned:
		return fmt.Sprintf("host returned, %d services are looked for", ev.ServicesCount)
	case event.HostMoved:
		by := ev.MAC
		if k := ev.Endpoint.SSHHostKey; k != nil {
			by = "host key " + k.SHA256
		}
		return fmt.Sprintf("host moved here from %s with its %d services (%s)", ev.Previous.Addr, ev.ServicesCount, by)
	case event.HostAnswersEverything:
		return fmt.Sprintf("host answers everything: %d ports alike; they are not told one by one", ev.Counts["endpoints"])
	case event.HostRecovered:
		return "host no longer answers everything"
	case event.ServiceUnstable:
		return fmt.Sprintf("unstable: %d of the last %d looks went from something else back to %s",
			ev.Counts["alternations"], ev.Counts["observations"], is)
	case event.ServiceStable:
		if ev.Previous != nil {
			return "stable as " + is + ", was " + describe(ev.Previous)
		}
		return "stable again: " + is
	case event.CertificateRenewed, event.CertificateChanged:
		return fmt.Sprintf("certificate %s: was %s, is %s", strings.TrimPrefix(string(ev.Action), "certificate."),
			certificateText(ev.Previous), certificateText(ev.Endpoint))
	case event.CertificateExpiring:
		return fmt.Sprintf("certificate %s ends in %d days", certificateText(ev.Endpoint), *ev.DaysLeft)
	case event.CertificateExpired:
		return "certificate " + certificateText(ev.Endpoint) + " has expired"
	default:
		return string(ev.Action) + " " + is
	}
}

// describe names a service: "https nginx 1.24 (Ubuntu)".
func describe(o *probes.Observation) string {
	if o == nil {
		return "unknown"
	}
	s := o.Identity.String()
	switch {
	case s == "":
		s = "an unknown service"
	case rank(o.Strength) == 0:
		s += "?" // a guess from the port number
	}
	if o.Tunnel != probes.NoTunnel {
		s += " over " + string(o.Tunnel)
	}
	const enough = 12 // digits; people compare, receivers have the field
	if k := o.SSHHostKey; k != nil {
		return s + ", host key " + k.SHA256[:min(len(k.SHA256), enough)]
	}
	for _, t := range o.TLS {
		if t.Certificate != nil && t.Certificate.SHA256 != "" {
			sum := t.Certificate.SHA256
			return s + ", certificate " + sum[:min(len(sum), enough)]
		}
	}
	return s
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
