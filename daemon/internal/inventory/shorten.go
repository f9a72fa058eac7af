package inventory

import (
	"slices"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

// shortenings make an event shorter, each more than the one before: evidence
// goes first, names that machines compare go last. After all of them an event
// has at most two endpoints of about 3 KiB, doubled by escapes.
var shortenings = []func(*event.Event){
	func(ev *event.Event) {
		const start = 128 // bytes that still show a banner's first line
		if e := ev.Evidence; e != nil && len(e.Answer) > start {
			e.Answer, e.Truncated = e.Answer[:start], true
		}
	},
	func(ev *event.Event) { ev.Evidence = nil },
	func(ev *event.Event) { eachEndpoint(ev, func(o *probes.Observation) { cutTLS(o, 4, 8) }) },
	func(ev *event.Event) { eachEndpoint(ev, func(o *probes.Observation) { cutTLS(o, 1, 2) }) },
	func(ev *event.Event) { eachEndpoint(ev, cutLists) },
	func(ev *event.Event) { eachEndpoint(ev, cutStrings) },
}

func eachEndpoint(ev *event.Event, do func(*probes.Observation)) {
	for _, o := range []*probes.Observation{ev.Endpoint, ev.Previous} {
		if o != nil {
			do(o)
		}
	}
}

// cutTLS keeps a few handshakes and a few of each certificate's names. The
// certificates belong to the endpoint too, so they are replaced.
func cutTLS(o *probes.Observation, handshakes, sans int) {
	o.TLS = slices.Clone(o.TLS[:min(len(o.TLS), handshakes)])
	for i := range o.TLS {
		if o.TLS[i].Certificate == nil {
			continue
		}
		c := *o.TLS[i].Certificate
		c.SANsCount = max(c.SANsCount, len(c.SANs))
		c.SANs = c.SANs[:min(len(c.SANs), sans)]
		o.TLS[i].Certificate = &c
	}
}

func cutLists(o *probes.Observation) {
	const few = 2
	o.Names = o.Names[:min(len(o.Names), few)]
	o.CPE = o.CPE[:min(len(o.CPE), few)]
	o.RPC = o.RPC[:min(len(o.RPC), few)]
}

func cutStrings(o *probes.Observation) {
	o.TLS = nil
	for _, s := range []*string{&o.Reason, &o.Product, &o.Version, &o.Info, &o.Hostname,
		&o.OS, &o.Device, &o.Rule} {
		*s = cleanString(*s, maxWord)
	}
	o.Names, o.CPE = cleanList(o.Names, maxNames, maxWord), cleanList(o.CPE, maxCPEs, maxName)
}

// leaves counts the values of an event, on the high side.
func leaves(ev *event.Event) int {
	const plain, service = 38, 4 // of the event itself, its sensor and its evidence
	n := plain + len(ev.Changed) + len(ev.Counts) + len(ev.Hosts) + service*len(ev.Services)
	eachEndpoint(ev, func(o *probes.Observation) { n += observationLeaves(o) })
	return n
}

func observationLeaves(o *probes.Observation) int {
	const plain, handshake, certificate, program = 21, 7, 8, 4
	n := plain + len(o.Names) + len(o.CPE) + program*len(o.RPC)
	for _, t := range o.TLS {
		n += handshake
		if t.Certificate != nil {
			n += certificate + len(t.Certificate.SANs)
		}
	}
	return n
}
