package session

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sonde/probes"
	"sonde/probes/ports"
)

func TestSilentPortKeepsToTheWaitingBudget(t *testing.T) {
	synctest.Test(t, silentPortKeepsToTheWaitingBudget)
}

func silentPortKeepsToTheWaitingBudget(t *testing.T) {
	s := serve(t, func(_ *server, c net.Conn) { drain(c) })
	settings := quick()
	settings.MaxWait = 900 * time.Millisecond
	start := time.Now()
	o := visitServer(t, s, settings, Remembered{})
	if took := time.Since(start); took > settings.MaxWait+time.Second {
		t.Errorf("took %v", took)
	}
	if o.Outcome != probes.OutcomeSilent {
		t.Errorf("outcome %s", o.Outcome)
	}
	if !slices.ContainsFunc(o.Errors, func(e string) bool {
		return strings.Contains(e, "waiting budget") && strings.Contains(e, "TLSSessionReq")
	}) {
		t.Errorf("what was not tried is not recorded: %q", o.Errors)
	}
}

func TestProbeBudget(t *testing.T) { synctest.Test(t, probeBudget) }

func probeBudget(t *testing.T) {
	s := serve(t, reply("WHAT?\r\n"))
	settings := quick()
	settings.MaxProbes = 1
	o := visitServer(t, s, settings, Remembered{})
	if o.Cost.Probes != 1 || len(s.requests()) != 1 {
		t.Errorf("%d probes, requests %q", o.Cost.Probes, s.requests())
	}
	if o.Evidence == nil || string(o.Evidence.Answer) != "WHAT?\r\n" || o.Evidence.Probe != "GetRequest" {
		t.Errorf("evidence %+v", o.Evidence)
	}
}

func TestEndlessData(t *testing.T) { synctest.Test(t, endlessData) }

func endlessData(t *testing.T) {
	s := serve(t, func(s *server, c net.Conn) {
		chunk := strings.Repeat("x", 1000)
		for s.count() < 100 {
			if _, err := io.WriteString(c, chunk); err != nil {
				return
			}
		}
	})
	settings := quick()
	settings.MaxBytes = 64 << 10
	start := time.Now()
	o := visitServer(t, s, settings, Remembered{})
	if o.Cost.BytesIn > settings.MaxBytes || time.Since(start) > 3*time.Second {
		t.Errorf("%d bytes in %v", o.Cost.BytesIn, time.Since(start))
	}
	if o.Product != "Bulk" || len(o.Evidence.Answer) != settings.MaxAnswer {
		t.Errorf("%+v, evidence of %d bytes", summarize(o), len(o.Evidence.Answer))
	}
}

// A tarpit that never lets an answer settle is inconclusive, whatever it says.
func TestDrip(t *testing.T) { synctest.Test(t, drip) }

func drip(t *testing.T) {
	s := serve(t, func(s *server, c net.Conn) {
		for {
			if _, err := io.WriteString(c, "x"); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	settings := quick()
	settings.MaxWait = 2 * time.Second
	o := visitServer(t, s, settings, Remembered{})
	if o.Outcome != probes.OutcomeInconclusive {
		t.Errorf("outcome %s after %d bytes, %q", o.Outcome, o.Cost.BytesIn, o.Errors)
	}
}

func TestCredentialProbesAreNotSent(t *testing.T) { synctest.Test(t, credentialProbesAreNotSent) }

func credentialProbesAreNotSent(t *testing.T) {
	s := serve(t, func(s *server, c net.Conn) {
		if s.request(c) == "LOGIN guest\r\n" {
			io.WriteString(c, "OK\r\n")
		}
	})
	if o := visitServer(t, s, quick(), Remembered{}); o.Product != "" {
		t.Errorf("asked with a credential: %+v", summarize(o))
	}
	settings := quick()
	settings.Allow.Credentials = true
	if o := visitServer(t, s, settings, Remembered{}); o.Service != "login" {
		t.Errorf("not asked with a credential: %+v", summarize(o))
	}
}

func TestHeld(t *testing.T) {
	text := "Exclude T:7\n" + testDatabase + `
# needs: industrial
Probe TCP Controller q|\x01\x02|
ports 4000
match controller m|^c|
`
	db := load(t, text, 80, false)
	tests := []struct {
		transport probes.Transport
		port      uint16
		reason    string
	}{
		{probes.TCP, 7, "excluded"},
		{probes.TCP, 9100, "print port"},
		{probes.TCP, 9116, "print port"},
		{probes.TCP, 9999, "print port"},
		{probes.TCP, 502, "industrial port"},
		{probes.TCP, 4000, "industrial port"},
		{probes.UDP, 47808, "industrial port"},
	}
	for _, tt := range tests {
		p, err := newDialProber(dialConfig{Database: db, Settings: quick(), Dialer: noDialer{t}})
		if err != nil {
			t.Fatal(err)
		}
		ep := probes.Endpoint{Addr: loopback, Port: tt.port, Transport: tt.transport}
		o := p.Visit(t.Context(), ep, Remembered{})
		if o.Outcome != probes.OutcomeHeld || o.Reason != tt.reason || o.State != "" {
			t.Errorf("%s/%d: %s, %q, state %q", tt.transport, tt.port, o.Outcome, o.Reason, o.State)
		}
		if o.Service != ports.Name(tt.port, string(tt.transport)) || o.Strength == probes.Hard {
			t.Errorf("%s/%d: %s service %q", tt.transport, tt.port, o.Strength, o.Service)
		}
	}
}

// What was learned while it was allowed is not sent to an industrial port.
func TestRememberedProbeAtAnIndustrialPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, reply(page))
		db := load(t, testDatabase, s.addr.Port(), false)
		settings := quick()
		settings.Allow.Industrial = true
		ep := endpoint(s)
		ep.Port = 502
		p := newProber(t, s, db, settings)
		for _, known := range []Remembered{{}, {Probe: "GetRequest"}, {Probe: "GetRequest", Tunnel: probes.TLS}} {
			if o := p.Visit(t.Context(), ep, known); len(s.requests()) > 0 || len(o.Asked) > 0 {
				t.Errorf("after %+v: sent %q", known, s.requests())
			}
		}
	})
}

func TestCancelledVisitEndsAtOnce(t *testing.T) { synctest.Test(t, cancelledVisitEndsAtOnce) }

func cancelledVisitEndsAtOnce(t *testing.T) {
	s := serve(t, func(_ *server, c net.Conn) { drain(c) })
	db := load(t, testDatabase, s.addr.Port(), false)
	ctx, cancel := context.WithCancel(t.Context())
	var at time.Time
	timer := time.AfterFunc(200*time.Millisecond, func() { at = time.Now(); cancel() })
	defer timer.Stop()
	o := newProber(t, s, db, quick()).Visit(ctx, endpoint(s), Remembered{})
	if took := time.Since(at); took > 100*time.Millisecond {
		t.Errorf("ended %v after the cancel", took)
	}
	if o.Outcome != probes.OutcomeInconclusive || o.Reason != "cancelled" {
		t.Errorf("%s, %q", o.Outcome, o.Reason)
	}
}

func TestWallLimit(t *testing.T) { synctest.Test(t, wallLimit) }

func wallLimit(t *testing.T) {
	s := serve(t, func(_ *server, c net.Conn) { drain(c) })
	settings := quick()
	settings.WallLimit = 200 * time.Millisecond
	o := visitServer(t, s, settings, Remembered{})
	if o.Outcome != probes.OutcomeInconclusive || !strings.HasPrefix(o.Reason, "wall clock") {
		t.Errorf("%s, %q", o.Outcome, o.Reason)
	}
}
