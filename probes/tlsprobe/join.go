package tlsprobe

import "sonde/probes"

// Join puts together what two offers to one endpoint showed, in the order in
// which they were made. A handshake that succeeded counts alone. Of two that
// failed, the facts are those of the one that showed more, the alert is the
// first that says more than that the connection ended, and Offered lists both.
func Join(earlier, later probes.TLSFacts) probes.TLSFacts {
	switch {
	case later.Alert == "":
		return later
	case earlier.Alert == "":
		return earlier
	}
	out := earlier
	if worth(later) > worth(earlier) {
		out = later
	}
	out.Alert = earlier.Alert
	if weight(later.Alert) > weight(earlier.Alert) {
		out.Alert = later.Alert
	}
	out.Offered = earlier.Offered
	if out.Offered != "" && later.Offered != "" {
		out.Offered += ", "
	}
	out.Offered += later.Offered
	return out
}

func worth(f probes.TLSFacts) int {
	switch {
	case f.Certificate != nil:
		return 2
	case f.Version != "":
		return 1
	}
	return 0
}

// weight says how much an alert tells of why there is no tunnel.
func weight(alert string) int {
	switch alert {
	case NotContinued:
		return 0
	case "closed", "reset", "timeout", "cancelled", "not TLS":
		return 1
	}
	return 2
}
