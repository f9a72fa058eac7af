//go:build faultpoints

package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"sonde/daemon/internal/event"
)

// An actor is a service and what must have been told of it.
type actor struct {
	g       *greeter
	rng     *rand.Rand
	version int // running number; none is used twice, as the old one is no news
	up      bool
	expect  []tale
}

// A tale is what one event says.
type tale struct {
	action            event.Action
	version, previous string
}

func newActor(t *testing.T, at netip.AddrPort, seed uint64) *actor {
	return &actor{g: newGreeter(t, at), rng: rand.New(rand.NewPCG(seed, 1))}
}

func (a *actor) name() string { return fmt.Sprintf("9.%dp1", a.version) }

// begin starts the service for the first time.
func (a *actor) begin() {
	a.version++
	a.up = true
	a.g.say(ssh(a.name()))
	a.expect = append(a.expect, tale{event.ServiceBaseline, a.name(), ""})
}

// step makes the next change.
func (a *actor) step() {
	was := a.name()
	switch {
	case a.up && a.rng.IntN(3) == 0:
		a.g.stop()
		a.up = false
		a.expect = append(a.expect, tale{event.ServiceGone, was, ""})
		return
	case a.up:
		a.version++
		a.expect = append(a.expect, tale{event.ServiceChanged, a.name(), was})
	case a.rng.IntN(2) == 0:
		a.expect = append(a.expect, tale{event.ServiceReturned, was, ""})
	default:
		a.version++
		a.expect = append(a.expect, tale{event.ServiceReturned, a.name(), was})
	}
	a.up = true
	a.g.say(ssh(a.name()))
}
