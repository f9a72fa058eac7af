package inventory

import (
	"slices"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// Names of the attributes, as in an event's "changed".
const (
	fieldInfo     = "info"
	fieldHostname = "hostname"
	fieldCert     = "tls.cert"
	fieldHostKey  = "ssh_host_key"
)

// An attribute is a fact beside the identity: it may change while the service
// stays what it is. Dates and ciphers are none; a certificate is its hash,
// and so is a key.
type attribute struct {
	field string // as told
	key   string // as remembered: a certificate is known per server name, a host key per kind
	value string
}

// attributes lists what o says, absent ones left out. The names that a target
// is asked by are our configuration's, and none of them.
func attributes(o *probes.Observation) []attribute {
	all := []attribute{
		{fieldInfo, fieldInfo, o.Info},
		{fieldHostname, fieldHostname, o.Hostname},
	}
	for _, t := range o.TLS {
		if t.Certificate != nil {
			all = append(all, attribute{fieldCert, fieldCert + "/" + t.Name, t.Certificate.SHA256})
		}
	}
	if k := o.SSHHostKey; k != nil {
		all = append(all, attribute{fieldHostKey, fieldHostKey + "/" + k.Type, k.SHA256})
	}
	return slices.DeleteFunc(all, func(a attribute) bool { return a.value == "" })
}

// strange lists the attributes of o whose value the endpoint never showed
// although it showed others.
func (e *Endpoint) strange(o *probes.Observation) []attribute {
	return slices.DeleteFunc(attributes(o), func(a attribute) bool {
		known := e.Known[a.key]
		return len(known) == 0 || slices.Contains(known, a.value)
	})
}

// maxKnown bounds the number of attributes that are remembered: the two
// plain ones, the certificates of as many names as an observation keeps, and
// the six kinds of SSH host keys.
const maxKnown = 2 + maxTLS + 6

// learn remembers the attributes of o, newest first.
func (e *Endpoint) learn(o *probes.Observation) {
	e.learnCertificates(o)
	for _, a := range attributes(o) {
		known := e.Known[a.key]
		if len(known) > 0 && known[0] == a.value {
			continue
		}
		if len(known) == 0 && len(e.Known) >= maxKnown {
			continue
		}
		known = slices.DeleteFunc(slices.Clone(known), func(s string) bool { return s == a.value })
		known = slices.Insert(known, 0, a.value)
		if e.Known == nil {
			e.Known = map[string][]string{}
		}
		e.Known[a.key] = known[:min(len(known), MaxIdentities)]
	}
}

// attributeConflicts names the attributes in which both say something, and
// not the same, each once.
func attributeConflicts(a, b *probes.Observation) []string {
	before := map[string]string{}
	for _, x := range attributes(a) {
		before[x.key] = x.value
	}
	var fields []string
	for _, x := range attributes(b) {
		was, ok := before[x.key]
		if ok && was != x.value && !slices.Contains(fields, x.field) {
			fields = append(fields, x.field)
		}
	}
	return fields
}

// difference names all fields in which b contradicts a, weightiest first.
func difference(a, b *probes.Observation) []string {
	return append(conflicts(a, b), attributeConflicts(a, b)...)
}

// kindOf is the weightiest kind among changed fields. Another tunnel is
// another service: its clients can no longer talk to it.
func kindOf(changed []string) event.ChangeKind {
	has := func(field string) bool { return slices.Contains(changed, field) }
	switch {
	case len(changed) == 0:
		return ""
	case has(fieldService) || has(fieldTunnel):
		return event.KindService
	case has(fieldProduct):
		return event.KindProduct
	case has(fieldVersion):
		return event.KindVersion
	default:
		return event.KindAttribute
	}
}
