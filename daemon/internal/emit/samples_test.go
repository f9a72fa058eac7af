package emit

import (
	"net/netip"
	"strings"
	"time"

	"sonde/daemon/internal/event"
	"sonde/match"
	"sonde/probes"
)

// sample is a record of an action with every field set.
func sample(seq int64, a event.Action) Record {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	yes, days := true, 7
	o := probes.Observation{Addr: netip.MustParseAddr("192.0.2.7"), Port: 443, Transport: probes.TCP,
		State: probes.Open, Reason: "syn-ack", Names: []string{"www.example.org"}, Tunnel: probes.TLS,
		Identity: match.Identity{Service: "http", Product: "nginx", Version: "1.22.1", Info: "Debian",
			Hostname: "web.example.org", OS: "Linux", Device: "web server", CPE: []string{"cpe:/a:igor_sysoev:nginx:1.22.1"}},
		Strength: probes.Hard, Outcome: probes.OutcomeAnswered, Probe: "GetRequest", Rule: "web.probes:1",
		TLS: []probes.TLSFacts{{Name: "www.example.org", Version: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256", ALPN: "h2",
			Certificate: &probes.Certificate{Subject: "CN=www.example.org", Issuer: "CN=Example CA",
				SANs: []string{"www.example.org", "example.org"}, SANsCount: 2, NotBefore: at, NotAfter: at,
				Key: "RSA 2048", SHA256: strings.Repeat("ab", 32)}}},
		Cost: probes.Cost{Connections: 1, Probes: 1}}
	was := o
	was.Product, was.Version = "Apache httpd", "2.4.57"
	r := record(seq, a)
	e := r.Event
	e.CorrelationID = event.Key{Zone: "default", Addr: o.Addr, Transport: o.Transport, Port: o.Port}.CorrelationID()
	e.Sensor = event.Sensor{Name: "probe1", UUID: "7c9e6679-7425-40de-944b-e07fc1f90ae7", Version: "v1.2.3"}
	e.ObservedAt, e.Clock, e.Cause = at, event.Synced, event.CauseTarget
	e.Watch, e.Zone, e.VLAN, e.MAC = "office", "default", 12, "02:00:5e:10:00:01"
	e.Expected, e.Owner, e.Reason = &yes, "web team", "closed"
	e.ChangeKind, e.Changed = event.KindProduct, []string{"product", "version"}
	e.Severity = event.SeverityOf(a, e.ChangeKind)
	e.Endpoint, e.Previous = &o, &was
	e.Evidence = &probes.Evidence{Probe: "GetRequest", Rule: "http.nginx", Database: "d",
		Answer: probes.Bytes("HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\n")}
	e.AbsentAt, e.FirstSeen, e.LastSeen, e.Confirmations, e.DaysLeft = at, at, at, 3, &days
	e.Counts = map[string]int{"known": 3, "known.known": 4}
	e.PreviousEnd = "clean"
	return rerecord(e)
}

// rerecord gives an event as the outbox would have it.
func rerecord(e event.Event) Record {
	line, err := encode(e)
	if err != nil {
		panic(err)
	}
	return Record{Event: e, JSON: line}
}
