package sensor

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sonde/daemon/internal/inventory"
	"sonde/probes"
)

// TestExtrasAreDueOnceADay: at the first visit after the start, and a day after
// a visit that asked for them. One that could not does not count, and while a
// change that they may be part of is confirmed they stay due.
func TestExtrasAreDueOnceADay(t *testing.T) {
	w := newWorld(t, 25)
	cfg := configOf(w, newStore(w))
	now := time.Unix(1e9, 0)
	cfg.Now = func() time.Time { return now }
	s := New(cfg)
	asked := &probes.Cost{Connections: 1}
	for i, step := range []struct {
		after time.Duration
		due   bool
		extra *probes.Cost
		next  inventory.Why
	}{
		{0, true, nil, ""},
		{time.Hour, true, asked, ""},
		{time.Hour, false, nil, ""},
		{refreshEvery - time.Hour - time.Second, false, nil, ""},
		{time.Second, true, asked, ""},
		{time.Second, false, nil, inventory.ConfirmChanged},
		{refreshEvery, true, asked, inventory.ConfirmChanged},
		{time.Minute, true, asked, inventory.ConfirmChanged},
		{time.Minute, true, asked, ""},
		{time.Minute, false, nil, ""},
	} {
		now = now.Add(step.after)
		k, _ := s.known.get(keyOf(25))
		if r := k.recall(now); r.Extras != step.due {
			t.Errorf("visit %d: due %v, want %v", i, r.Extras, step.due)
		}
		s.learn(&inventory.Visit{Key: keyOf(25), Watch: "lan", Observation: probes.Observation{
			Strength: probes.Hard, Probe: "NULL", Cost: probes.Cost{Connections: 1, Extra: step.extra}}},
			inventory.Standing{Status: inventory.Present, Next: inventory.Next{Why: step.next}})
	}
}

// TestShutServerIsRemembered: a TLS server that lets nobody in is known by what
// it showed, until it shows something else, and all of it is looked at anew once
// a day.
func TestShutServerIsRemembered(t *testing.T) {
	w := newWorld(t, 25)
	cfg := configOf(w, newStore(w))
	now := time.Unix(1e9, 0)
	cfg.Now = func() time.Time { return now }
	s := New(cfg)
	shut := func(remembered bool) probes.Observation {
		return probes.Observation{Outcome: probes.OutcomeAnswered, Strength: probes.Table,
			Tunnel: probes.TLS, Offer: 5,
			TLS: []probes.TLSFacts{{Version: "SSLv3", Alert: "handshake failure", Remembered: remembered}}}
	}
	for i, step := range []struct {
		after time.Duration
		due   bool
		shut  bool // is known before
		seen  probes.Observation
	}{
		{0, true, false, shut(false)},
		{time.Hour, false, true, shut(true)},
		{time.Hour, false, true, probes.Observation{Outcome: probes.OutcomeSilent, Strength: probes.Table}},
		{refreshEvery, true, true, shut(false)},
		{time.Hour, false, true, probes.Observation{Outcome: probes.OutcomeAnswered, Strength: probes.Unmatched}},
		{time.Hour, false, false, shut(false)},
		{time.Hour, false, true, probes.Observation{Outcome: probes.OutcomeAnswered, Strength: probes.Hard, Probe: "NULL"}},
		{time.Hour, false, false, shut(false)},
		{time.Hour, false, false, shut(false)}, // the probe is the better memory
	} {
		now = now.Add(step.after)
		k, _ := s.known.get(keyOf(25))
		r := k.recall(now)
		if r.Extras != step.due || (r.Shut != nil) != step.shut || step.shut && r.Offer != 5 {
			t.Errorf("visit %d: %+v, want due %v, shut %v", i, r, step.due, step.shut)
		}
		s.learn(&inventory.Visit{Key: keyOf(25), Watch: "lan", Observation: step.seen},
			inventory.Standing{Status: inventory.Present})
	}
}

// TestBelievedProbeIsAskedWhileAChangeIsConfirmed: one lost answer to it is not
// confirmed by visits that ask nothing but the probe that came next.
func TestBelievedProbeIsAskedWhileAChangeIsConfirmed(t *testing.T) {
	s := New(configOf(newWorld(t, 53), newStore(newWorld(t, 53))))
	soon := inventory.Next{At: time.Now().Add(time.Second), Why: inventory.ConfirmChanged}
	for i, step := range []struct {
		probe string
		asked []string
		next  inventory.Next
		want  string
	}{
		{"Stun", []string{"Stun"}, inventory.Next{}, "Stun"},
		{"DTLS", []string{"Stun", "DTLS"}, soon, "Stun"},
		{"Stun", []string{"Stun"}, inventory.Next{}, "Stun"},
		{"DTLS", []string{"Stun", "DTLS"}, soon, "Stun"},
		{"DTLS", []string{"Stun", "DTLS"}, inventory.Next{}, "DTLS"}, // the third: it was told
		{"Stun", []string{"Stun"}, soon, "Stun"},                     // all were asked anew, and it came first
	} {
		s.learn(&inventory.Visit{Key: keyOf(53), Watch: "lan", Observation: probes.Observation{
			Outcome: probes.OutcomeAnswered, Strength: probes.Hard, Probe: step.probe, Asked: step.asked}},
			inventory.Standing{Status: inventory.Present, Next: step.next})
		if k, _ := s.known.get(keyOf(53)); k.remembered.Probe != step.want {
			t.Errorf("visit %d: %s is asked first, want %s", i+1, k.remembered.Probe, step.want)
		}
	}
}

// TestLoadingIsNoSleep: a sensor that reads a large inventory at its start was
// busy, and the machine awake.
func TestLoadingIsNoSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(newWorld(t, 22))
		s.loadTakes = time.Minute
		cfg := configOf(s.w, s)
		var log bytes.Buffer
		cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
		runThis(t, New(cfg), 2*time.Minute, nil)
		if strings.Contains(log.String(), "slept") {
			t.Error(log.String())
		}
	})
}
