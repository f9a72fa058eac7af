package emit

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

func ecsOf(e *event.Event, shortened bool) *ecsDocument {
	d := &ecsDocument{
		Timestamp: e.Timestamp.UTC(),
		ECS:       ecsVersion{ECSVersion},
		Message:   e.Message,
		Event:     ecsEventOf(e),
		Log:       ecsLog{string(e.Severity)},
		Observer:  ecsObserverOf(&e.Sensor),
		Sonde:     &ecsOurs{Event: e, Counts: ecsCounts(e.Counts)},
	}
	if shortened {
		d.Labels = &ecsShortens{"true"}
	}
	if o := e.Endpoint; o != nil {
		d.Server, d.Network = ecsServerOf(e, o), ecsNetworkOf(e, o)
		d.Related = ecsRelatedOf(o, e.Previous)
		if len(o.TLS) > 0 {
			d.TLS = ecsTLSOf(&o.TLS[0])
		}
	}
	return d
}

func ecsObserverOf(s *event.Sensor) ecsObserver {
	return ecsObserver{Name: s.Name, SerialNumber: s.UUID, Version: s.Version,
		Vendor: "Sonde", Product: "Sonde", Type: "scanner"}
}

func ecsEventOf(e *event.Event) ecsEvent {
	category, kind := ecsClass(e.Action)
	out := ecsEvent{ID: e.ID, Sequence: e.Seq, Kind: "event", Category: []string{category},
		Type: []string{kind}, Action: string(e.Action), Severity: ecsSeverity(e.Severity),
		Reason: e.Reason, Module: "sonde", Dataset: "sonde.events"}
	switch e.Action {
	case event.SensorHeartbeat:
		out.Kind = "metric"
	case event.ServiceBaseline:
		out.Kind = "state"
	}
	return out
}

// ecsClass gives event.category and event.type, of the words that the schema
// allows and of the pairs that it expects.
func ecsClass(a event.Action) (category, kind string) {
	of, what, _ := strings.Cut(string(a), ".")
	switch of {
	case "sensor":
		category = "process"
	case "watch":
		category = "configuration"
	default:
		category = "host"
	}
	switch what {
	case "new", "returned", "started":
		return category, "start"
	case "gone", "stopped":
		return category, "end"
	case "changed", "moved", "renewed":
		return category, "change"
	case "retired":
		return category, "deletion"
	}
	return category, "info"
}

// ecsSeverity is a number that grows with the severity; its steps are those of
// Elastic's own rules.
func ecsSeverity(s event.Severity) int {
	switch s { //exhaustive:enforce
	case event.Notice:
		return 47
	case event.Warning:
		return 73
	case event.Error:
		return 99
	case event.Info:
	}
	return 21
}

func ecsServerOf(e *event.Event, o *probes.Observation) *ecsServer {
	return &ecsServer{Address: addrText(o.Addr), IP: addrText(o.Addr.WithZone("")),
		Port: int(o.Port), Domain: o.Hostname,
		MAC: strings.ToUpper(strings.ReplaceAll(e.MAC, ":", "-"))} // as RFC 7042 writes it
}

func ecsNetworkOf(e *event.Event, o *probes.Observation) *ecsNetwork {
	n := &ecsNetwork{Transport: string(o.Transport), Protocol: strings.ToLower(o.Service), Type: "ipv6"}
	if o.Addr.Unmap().Is4() {
		n.Type = "ipv4"
	}
	if e.VLAN != 0 {
		n.VLAN = &ecsVLAN{strconv.Itoa(e.VLAN)}
	}
	return n
}

// ecsRelatedOf collects what an analyst pivots on.
func ecsRelatedOf(now, before *probes.Observation) *ecsRelated {
	r := new(ecsRelated)
	for _, o := range []*probes.Observation{now, before} {
		if o == nil {
			continue
		}
		if ip := addrText(o.Addr.WithZone("")); ip != "" && !slices.Contains(r.IP, ip) {
			r.IP = append(r.IP, ip)
		}
		for _, name := range append([]string{o.Hostname}, o.Names...) {
			if name != "" && !slices.Contains(r.Hosts, name) {
				r.Hosts = append(r.Hosts, name)
			}
		}
	}
	return r
}

func ecsCounts(counts map[string]int) []ecsCount {
	var out []ecsCount
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, ecsCount{name, counts[name]})
	}
	return out
}
