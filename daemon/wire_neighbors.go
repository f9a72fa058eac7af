package main

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"sonde/capture"
	"sonde/probes/visitor"
)

// A neighborBudget lets visits begin only as the kernel's neighbour table has
// room: hosts that are known, and gone since, each leave an entry there for the
// seconds that the kernel asks for them. Hosts that the kernel knows wait for
// nothing.
type neighborBudget struct {
	visitor.Budget
	guard   *capture.Guard
	running *sync.WaitGroup // goroutines that wait for room, or for the kernel
}

// Admit implements visitor.Budget.
func (b neighborBudget) Admit(a netip.Addr, ready func()) (release func(), granted bool) {
	v := &admission{guard: b.guard, addr: a, ready: ready, running: b.running}
	v.ctx, v.cancel = context.WithCancel(context.Background())
	var inner func()
	inner, granted = b.Budget.Admit(a, v.later)
	if granted && !v.enter(expired) {
		v.later()
		granted = false
	}
	return func() {
		v.leave()
		inner()
	}, granted
}

// settleMost is how long the end of a resolution is waited for behind a visit,
// which keeps the sensor from stopping for that long.
const settleMost = time.Second

// expired is for who does not want to wait.
var expired = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// An admission is one visit's leave to have a neighbour looked for.
type admission struct {
	guard   *capture.Guard
	addr    netip.Addr
	ready   func()
	running *sync.WaitGroup
	ctx     context.Context // ends with the visit
	cancel  context.CancelFunc

	mu      sync.Mutex // guards what follows
	passage *capture.Passage
	over    bool
}

// enter takes a passage, and says whether it has one. One for who was not there
// a moment ago needs no entry of its own.
func (v *admission) enter(ctx context.Context) bool {
	p, _ := v.guard.Enter(ctx, v.addr)
	if p == nil {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		p.Leave(true) // nothing was sent
		return false
	}
	v.passage = p
	return true
}

// later waits for a passage.
func (v *admission) later() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		return
	}
	v.running.Go(func() {
		if v.enter(v.ctx) {
			v.ready()
		}
	})
}

// leave ends the wait, or the visit: the next may enter when the kernel has done
// with this neighbour. It may be called again.
func (v *admission) leave() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cancel()
	v.over = true
	p := v.passage
	v.passage = nil
	if p == nil || !p.Held() {
		return
	}
	v.running.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), settleMost)
		defer cancel()
		_, _ = p.Settle(ctx) // if it does not know, Leave takes the worst for it
		p.Leave(false)
	})
}
