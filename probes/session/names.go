package session

import (
	"slices"

	"sonde/probes"
	"sonde/probes/tlsprobe"
)

// maxNames is how many further names of a target are asked by in one visit:
// each takes a connection.
const maxNames = 3

// furtherNames are those that the identity was not asked by, and that can be
// sent.
func (m *Machine) furtherNames() (names []string) {
	o := &m.extras.observation
	if !m.p.settings.Names || o.Tunnel != probes.TLS || m.ep.Transport != probes.TCP || !m.shaken {
		return nil
	}
	first := hostName(m.ep.Names)
	for _, name := range m.ep.Names {
		if hostName([]string{name}) == "" || name == first || slices.Contains(names, name) {
			continue
		}
		if names = append(names, name); len(names) == maxNames {
			break
		}
	}
	return names
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
