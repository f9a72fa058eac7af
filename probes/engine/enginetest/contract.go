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
	cases := []struct {
		name string
		run  func(t *testing.T, h *Harness)
	}{
		{"loop/post in order", postInOrder},
		{"loop/post after close", postAfterClose},
		{"loop/timers in order", timersInOrder},
		{"loop/timer reset and stop", timerResetStop},
		{"loop/close tells all", closeTellsAll},
		{"tcp/connect", connects},
		{"tcp/refused", refused},
		{"tcp/timeout", timesOut},
		{"tcp/bad dial", badDial},
		{"tcp/greeting then EOF", greeting},
		{"tcp/half-closed peer", halfClosed},
		{"tcp/reset", reset},
		{"tcp/send before opened", sendEarly},
		{"tcp/send large", sendLarge},
		{"tcp/close tells nothing", closeTellsNothing},
		{"tcp/close in handlers", closeInHandlers},
		{"tcp/close while connecting", closeConnecting},
		{"tcp/close while sending", closeWhileSending},
		{"tcp/goodbye before close", goodbye},
		{"tcp/endless peer", endless},
		{"tcp/source port", sourcePort},
		{"tcp/connected to itself", selfConnect},
		{"tcp/IPv6", func(t *testing.T, h *Harness) { echo(t, h, "tcp", v6) }},
		{"udp/answer", func(t *testing.T, h *Harness) { echo(t, h, "udp", v4) }},
		{"udp/IPv6", func(t *testing.T, h *Harness) { echo(t, h, "udp", v6) }},
		{"udp/empty datagrams", emptyDatagrams},
		{"udp/other port", answersFromOtherPort},
		{"udp/other host", answersFromOtherHost},
		{"udp/rejected", func(t *testing.T, h *Harness) { rejected(t, h, v4) }},
		{"udp/rejected IPv6", func(t *testing.T, h *Harness) { rejected(t, h, v6) }},
		{"udp/source port in use", sourcePortInUse},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
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
