package sweep

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// macsMost bounds the neighbours whose link-layer addresses are held: 16
// subnets of 65,536 hosts. With more, all are forgotten and asked for again.
const macsMost = 1 << 20

// macs are the link-layer addresses of neighbours, and who had none.
type macs struct {
	changes atomic.Uint64 // one more with each

	mu  sync.Mutex // guards all
	all map[neighbor]mac
}

type neighbor struct {
	link int
	addr netip.Addr
}

type mac struct {
	addr  [6]byte
	found bool
	at    time.Time // when it was asked for
}

func (m *macs) get(n neighbor) (mac, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	x, ok := m.all[n]
	return x, ok
}

// put notes what was found at a time, and says whether a neighbour has another
// address than before. Who does not answer any more keeps one that was found
// after keep.
func (m *macs) put(n neighbor, x mac, keep time.Time) (moved bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changes.Add(1)
	if m.all == nil || len(m.all) >= macsMost {
		m.all = map[neighbor]mac{}
	}
	old := m.all[n]
	if !x.found && old.found && old.at.After(keep) {
		old.at = x.at
		m.all[n] = old
		return false
	}
	m.all[n] = x
	return x.found && old.found && old.addr != x.addr
}

// forget drops one, so that it is asked for again.
func (m *macs) forget(n neighbor) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changes.Add(1)
	delete(m.all, n)
}
