package enginetest

import (
	"net/netip"
	"testing"
	"time"

	"sonde/probes/engine"
)

// Contract tests that a loop does what package engine promises. open makes a
// new one for each case, with [Real] or [Virtual]. Its engine must not be
// closed by open's own cleanup before the peers' connections are.
func Contract(t *testing.T, open func(t *testing.T) *Harness) {
	cases := []contractCase{
		{name: "loop/post in order", run: postInOrder},
		{name: "loop/post after close", run: postAfterClose},
		{name: "loop/timers in order", run: timersInOrder},
		{name: "loop/timer reset and stop", run: timerResetStop},
		{name: "loop/close tells all", run: closeTellsAll},
		{name: "tcp/connect", run: connects},
		{name: "tcp/refused", run: refused},
		{name: "tcp/timeout", run: timesOut},
		{name: "tcp/bad dial", run: badDial},
		{name: "tcp/greeting then EOF", run: greeting},
		{name: "tcp/half-closed peer", run: halfClosed},
		{name: "tcp/reset", run: reset},
		{name: "tcp/send before opened", run: sendEarly},
		{name: "tcp/send large", run: sendLarge},
		{name: "tcp/close tells nothing", run: closeTellsNothing},
		{name: "tcp/close in handlers", run: closeInHandlers},
		{name: "tcp/close while connecting", run: closeConnecting},
		{name: "tcp/close while sending", run: closeWhileSending},
		{name: "tcp/goodbye before close", run: goodbye},
		{name: "tcp/endless peer", run: endless},
		{name: "tcp/source port", run: sourcePort, sockets: true},
		{name: "tcp/connected to itself", run: selfConnect, sockets: true},
		{name: "tcp/IPv6", run: func(t *testing.T, h *Harness) { echo(t, h, "tcp", v6) }},
		{name: "udp/answer", run: func(t *testing.T, h *Harness) { echo(t, h, "udp", v4) }},
		{name: "udp/IPv6", run: func(t *testing.T, h *Harness) { echo(t, h, "udp", v6) }},
		{name: "udp/empty datagrams", run: emptyDatagrams},
		{name: "udp/other port", run: answersFromOtherPort},
		{name: "udp/other host", run: answersFromOtherHost},
		{name: "udp/rejected", run: func(t *testing.T, h *Harness) { rejected(t, h, v4) }, rejects: true},
		{name: "udp/rejected IPv6", run: func(t *testing.T, h *Harness) { rejected(t, h, v6) }, rejects: true},
		{name: "udp/source port in use", run: sourcePortInUse, sockets: true},
	}
	can := open(t)
	for _, c := range cases {
		if c.sockets && !can.Sockets || c.rejects && !can.Rejects {
			continue // not promised
		}
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

type contractCase struct {
	name             string
	run              func(t *testing.T, h *Harness)
	sockets, rejects bool // only for harnesses that have these
}

// timeout is a connect's where it must not pass.
const timeout = 10 * time.Second

func tcp(to netip.AddrPort) engine.Dial {
	return engine.Dial{Network: "tcp", Remote: to, Timeout: timeout}
}

func udp(to netip.AddrPort) engine.Dial {
	return engine.Dial{Network: "udp", Remote: to}
}

// wait fails the test unless what comes.
func (h *Harness) wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	if !h.Wait(done) {
		t.Fatalf("no %s", what)
	}
}

// quiet lets some time pass in which nothing should happen.
func (h *Harness) quiet(t *testing.T) {
	t.Helper()
	var passed bool
	h.Do(func() {
		timer := h.Loop.NewTimer(func() { passed = true })
		timer.Reset(h.Loop.Now().Add(50 * time.Millisecond))
	})
	h.wait(t, "end of the quiet time", func() bool { return passed })
}

// visit opens a connection and waits for its end.
func (h *Harness) visit(t *testing.T, d engine.Dial) *Recorder {
	t.Helper()
	r := &Recorder{}
	h.Do(func() { r.Open(h.Loop, d) })
	h.wait(t, "end", func() bool { return r.Has("Ended", 1) })
	return r
}

// want compares what a recorder was told.
func want(t *testing.T, r *Recorder, told string) {
	t.Helper()
	if got := r.String(); got != told {
		t.Errorf("told %q, want %q", got, told)
	}
}
