package inventory

import (
	"slices"
	"strings"
	"time"

	"sonde/match"
	"sonde/probes"
)

// relation is what an observation says about an identity that is known.
type relation int

// The relations, closest first: of several identities of a pool the one with
// the closest relation is meant.
const (
	same    relation = iota // agrees, and says no less
	learned                 // agrees, and knows what was only guessed before
	weaker                  // says less: neither confirms nor denies
	differs                 // contradicts
)

// Names of the identity's fields, as in an event's "changed".
const (
	fieldService = "service"
	fieldTunnel  = "tunnel"
	fieldProduct = "product"
	fieldVersion = "version"
	fieldOS      = "os"
	fieldDevice  = "device"
	fieldCPE     = "cpe"
)

// rank orders strengths; what a port number suggests and nothing at all are
// no evidence of anything.
func rank(s probes.Strength) int {
	switch s {
	case probes.Hard:
		return 2
	case probes.Soft:
		return 1
	default:
		return 0
	}
}

// compare relates what was seen to what is known. A drop in strength is never
// a contradiction, and an absent field is not a changed one.
func compare(known, seen *probes.Observation) relation {
	k, s := rank(known.Strength), rank(seen.Strength)
	switch {
	case k == 0 && s == 0:
		return same
	case k == 0:
		return learned
	case s < k:
		return weaker
	case len(conflicts(known, seen)) > 0:
		return differs
	case s > k:
		return learned
	case lost(known.Product, seen.Product) || lost(known.Version, seen.Version):
		return weaker
	default:
		return same
	}
}

func lost(known, seen string) bool { return known != "" && seen == "" }

// conflicts names the identity fields in which both say something, and not
// the same. A missing tunnel says something: the service speaks in clear.
func conflicts(a, b *probes.Observation) []string {
	var fields []string
	add := func(name, x, y string) {
		if x != "" && y != "" && x != y {
			fields = append(fields, name)
		}
	}
	add(fieldService, a.Service, b.Service)
	if a.Tunnel != b.Tunnel {
		fields = append(fields, fieldTunnel)
	}
	add(fieldProduct, a.Product, b.Product)
	add(fieldVersion, a.Version, b.Version)
	add(fieldOS, a.OS, b.OS)
	add(fieldDevice, a.Device, b.Device)
	if cpesConflict(a.CPE, b.CPE) {
		fields = append(fields, fieldCPE)
	}
	return fields
}

// cpesConflict tells whether two lists of CPEs exclude each other: for an
// application, system or hardware that both name, no entry of one agrees with
// an entry of the other. Of two CPEs that agree one may stop short.
func cpesConflict(a, b []string) bool {
	for _, part := range []string{"cpe:/a:", "cpe:/o:", "cpe:/h:"} {
		x, y := withPrefix(a, part), withPrefix(b, part)
		if len(x) > 0 && len(y) > 0 && !anyAgree(x, y) {
			return true
		}
	}
	return false
}

func withPrefix(list []string, prefix string) []string {
	var out []string
	for _, s := range list {
		if strings.HasPrefix(s, prefix) {
			out = append(out, s)
		}
	}
	return out
}

func anyAgree(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			if cpeAgrees(x, y) {
				return true
			}
		}
	}
	return false
}

func cpeAgrees(a, b string) bool {
	x, y := strings.Split(a, ":"), strings.Split(b, ":")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] && x[i] != "" && y[i] != "" {
			return false
		}
	}
	return true
}

// merge adds what was seen to what is known of the same identity. The newer
// word counts; what it leaves out stays.
func merge(known, seen *probes.Observation) probes.Observation {
	m := *seen
	m.Cost, m.Errors, m.Asked, m.At = probes.Cost{}, nil, nil, time.Time{}
	if rank(seen.Strength) < rank(known.Strength) {
		m.Strength, m.Rule, m.Probe = known.Strength, known.Rule, known.Probe
		m.Identity, m.Tunnel, m.Evidence = known.Identity, known.Tunnel, known.Evidence
		m.Fingerprint, m.Database = known.Fingerprint, known.Database
	} else {
		m.Identity = mergeIdentity(&known.Identity, &seen.Identity)
		m.Probe = or(seen.Probe, known.Probe)
		m.Rule = or(seen.Rule, known.Rule)
		m.Database = or(seen.Database, known.Database)
		if rank(seen.Strength) == 0 && known.Strength == probes.Table {
			m.Strength = probes.Table
		}
	}
	if rank(seen.Strength) == rank(known.Strength) {
		m.Fingerprint = fuller(known.Fingerprint, seen.Fingerprint)
	}
	m.TLS = mergeTLS(known.TLS, seen)
	if len(m.RPC) == 0 { // not asked for at each visit
		m.RPC = known.RPC
	}
	if m.SSHHostKey == nil { // the same
		m.SSHHostKey = known.SSHHostKey
	}
	if m.Evidence == nil || known.Evidence != nil && evidenceServes(known, &m) {
		m.Evidence = known.Evidence
	}
	return m
}

// mergeTLS keeps what an endpoint showed before for names by which it was not
// asked this time, as long as they are its names. Without a handshake all stays.
func mergeTLS(known []probes.TLSFacts, seen *probes.Observation) []probes.TLSFacts {
	if len(seen.TLS) == 0 {
		return known
	}
	all := slices.Clip(seen.TLS)
	for _, t := range known {
		asked := slices.ContainsFunc(seen.TLS, func(s probes.TLSFacts) bool { return s.Name == t.Name })
		if t.Name != "" && !asked && slices.Contains(seen.Names, t.Name) && len(all) < maxTLS {
			all = append(all, t)
		}
	}
	return all
}

// evidenceServes tells whether the evidence of known also proves all of what
// it became, so that it need not be written anew at each visit.
func evidenceServes(known, now *probes.Observation) bool {
	was, is := known.Evidence, now.Evidence
	return was.Probe == is.Probe && was.Rule == is.Rule && was.Database == is.Database &&
		equalIdentity(&known.Identity, &now.Identity)
}

func equalIdentity(a, b *match.Identity) bool {
	return a.Service == b.Service && a.Product == b.Product && a.Version == b.Version &&
		a.Info == b.Info && a.Hostname == b.Hostname && a.OS == b.OS &&
		a.Device == b.Device && slices.Equal(a.CPE, b.CPE)
}

func mergeIdentity(known, seen *match.Identity) match.Identity {
	m := match.Identity{
		Service:  or(seen.Service, known.Service),
		Product:  or(seen.Product, known.Product),
		Version:  or(seen.Version, known.Version),
		Info:     or(seen.Info, known.Info),
		Hostname: or(seen.Hostname, known.Hostname),
		OS:       or(seen.OS, known.OS),
		Device:   or(seen.Device, known.Device),
		CPE:      seen.CPE,
	}
	if len(seen.CPE) == 0 || lost(known.Version, seen.Version) {
		m.CPE = known.CPE
	}
	return m
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// comparable tells whether seen may be held against known at all. Answers to
// the same probe may. An answer to another probe may if that one was asked
// before and then brought nothing, or if the probe that gave the known
// identity was asked again and now gives another service. The banner of a TCP
// service is asked for by each connection.
func comparable(known, seen *probes.Observation, askedBefore []string) bool {
	if known.Probe == "" || seen.Probe == "" || known.Probe == seen.Probe {
		return true
	}
	if banner(seen) || slices.Contains(askedBefore, seen.Probe) {
		return true
	}
	again := known.Transport == probes.TCP && known.Probe == bannerProbe ||
		slices.Contains(seen.Asked, known.Probe)
	return again && known.Service != seen.Service
}

// otherHost tells whether the answers were given for two different names of
// the target: TLS and HTTP servers are several behind one address.
func otherHost(known, seen *probes.Observation) bool {
	return !slices.Equal(known.Names[:min(len(known.Names), 1)], seen.Names[:min(len(seen.Names), 1)])
}

// bannerProbe is the name of the probe that only listens.
const bannerProbe = "NULL"

func banner(o *probes.Observation) bool {
	return o.Transport == probes.TCP && o.Probe == bannerProbe
}
