package session

import (
	"slices"

	"sonde/probes"
	"sonde/probes/tlsprobe"
)

// maxNames is how many further names of a target are asked by in one visit:
// each takes a connection. Those of a target with n further names take turns, so
// that each is asked by once in ceil(n/3) of the visits that ask by names at all,
// which are a day apart: of eight names in all, within three days and the time
// between four visits.
const maxNames = 3

// furtherNames are those that the identity was not asked by, and that can be
// sent.
func (m *Machine) furtherNames() (names []string) {
	first := hostName(m.ep.Names)
	for _, name := range m.ep.Names {
		if hostName([]string{name}) != "" && name != first && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// dueNames lists the names whose turn it is.
func (m *Machine) dueNames() (todo []func()) {
	o := &m.extras.observation
	if !m.p.settings.Names || o.Tunnel != probes.TLS || m.ep.Transport != probes.TCP || !m.shaken {
		return nil
	}
	names := m.furtherNames()
	at := m.firstName(len(names))
	for range min(len(names), maxNames) {
		name := names[at]
		at = (at + 1) % len(names)
		next := at + 1
		todo = append(todo, func() {
			o.Turn = next
			m.askByName(name)
		})
	}
	return todo
}

// firstName is the index of the name to begin with. A first visit begins with the
// first. Where nothing is known of the visits before, the day decides: always the
// first would keep a sensor that is often started anew from the last.
func (m *Machine) firstName(names int) int {
	const day = 24 * 60 * 60
	switch {
	case names <= maxNames, m.known.Probe == "":
		return 0
	case m.known.Turn > 0:
		return (m.known.Turn - 1) % names
	}
	return int(m.now.Unix()/day*maxNames) % names
}

// askByName reads the certificate that a TLS server shows for one more name
// (part 2, row 8). All else is as in the handshake that let us in.
func (m *Machine) askByName(name string) {
	hello := tlsprobe.Config{Name: name}
	if o := m.offering; o != nil {
		hello = o.offers[o.at].Config
		hello.Name = name
	}
	m.dial(nil, 0, func(l *line, failed *connectError) {
		if failed != nil {
			m.regret("name %s: %v", name, failed)
			m.nextExtra()
			return
		}
		m.secure(l, hello, m.now.Add(m.p.settings.TLSTimeout), func(facts probes.TLSFacts, err error) {
			if err != nil {
				m.regret("name %s: handshake: %s", name, facts.Alert)
			}
			if err == nil || facts.Certificate != nil {
				m.tellTLS(facts)
			}
			m.nextExtra()
		})
	})
}
