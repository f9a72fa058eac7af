package session

import (
	"time"

	"sonde/probes"
)

func (m *Machine) mayReadKey() bool {
	return m.p.settings.SSHKey && m.ep.Transport == probes.TCP && m.extras.observation.Service == "ssh"
}

// readKey asks an SSH server for its host key. If there is none to be had, that
// is only noted: a server that is full, or wants to know us first, is the same.
func (m *Machine) readKey() {
	m.dial(nil, 0, func(l *line, failed *connectError) {
		if failed != nil {
			m.regret("SSH host key: %v", failed)
			m.nextExtra()
			return
		}
		m.budget.probes++
		l.phase, l.until = shaking, time.Time{} // the outside keeps the time
		m.act(Action{Kind: ReadKey, Conn: l.number, What: SaidSSH,
			Timeout: m.p.settings.TLSTimeout, MaxBytes: m.budget.room()})
		l.then = func() {
			l.phase = opening
			if l.key == nil || l.err != nil {
				m.regret("SSH host key: %v", bare(l.err))
			} else {
				key := l.key.HostKey
				m.extras.observation.SSHHostKey = &key
			}
			m.nextExtra()
		}
	})
}
