package session

import (
	"syscall"
	"testing"

	"sonde/probes"
)

func TestVerdict(t *testing.T) {
	db := load(t, testDatabase, 80, false)
	hard := finding{strength: probes.Hard}
	tests := []struct {
		name      string
		transport probes.Transport
		known     Remembered
		edit      func(*visit)
		want      probes.Outcome
	}{
		{"closed by all", probes.TCP, Remembered{}, func(v *visit) { v.accepted = true }, probes.OutcomeTCPWrapped},
		{
			"closed by all, identified before", probes.TCP, Remembered{Probe: "NULL"},
			func(v *visit) { v.accepted = true }, probes.OutcomeBlocked,
		},
		{
			"waited in vain", probes.TCP, Remembered{},
			func(v *visit) { v.accepted, v.lingered = true, true }, probes.OutcomeSilent,
		},
		{"no datagram", probes.UDP, Remembered{}, func(*visit) {}, probes.OutcomeSilent},
		{
			"answer", probes.TCP, Remembered{},
			func(v *visit) { v.accepted, v.heard = true, true }, probes.OutcomeAnswered,
		},
		{
			"only a handshake", probes.TCP, Remembered{},
			func(v *visit) { v.accepted, v.tls = true, make([]probes.TLSFacts, 1) }, probes.OutcomeAnswered,
		},
		{
			"rule at its limit", probes.TCP, Remembered{},
			func(v *visit) { v.heard, v.undecided, v.best = true, true, hard }, probes.OutcomeUndecided,
		},
		{
			"answer without an end", probes.TCP, Remembered{},
			func(v *visit) { v.heard, v.best.end = true, cutShort }, probes.OutcomeInconclusive,
		},
		{
			"interrupted", probes.TCP, Remembered{},
			func(v *visit) { v.heard, v.interrupted = true, "cancelled" }, probes.OutcomeInconclusive,
		},
		{
			"connect fails first", probes.TCP, Remembered{},
			func(v *visit) { v.fail(classify(syscall.ECONNREFUSED)) }, probes.OutcomeRefused,
		},
		{
			"packet filter", probes.TCP, Remembered{},
			func(v *visit) { v.fail(classify(rejected{3, 3})) }, probes.OutcomeUnreachable,
		},
		{
			"packet filter, and answered before", probes.TCP, Remembered{Probe: "NULL"},
			func(v *visit) { v.fail(classify(rejected{3, 13})) }, probes.OutcomeBlocked,
		},
		{
			"packet filter over IPv6, and answered before", probes.TCP, Remembered{Probe: "NULL"},
			func(v *visit) { v.fail(classify(rejected{1, 4})) }, probes.OutcomeBlocked,
		},
		{
			"no route to a host that answered before", probes.TCP, Remembered{Probe: "NULL"},
			func(v *visit) { v.fail(classify(rejected{3, 1})) }, probes.OutcomeUnreachable,
		},
		{
			"connect fails after an answer: it stays", probes.TCP, Remembered{},
			func(v *visit) {
				v.accepted, v.heard, v.best = true, true, finding{strength: probes.Unmatched}
				v.fail(classify(syscall.ECONNREFUSED))
			}, probes.OutcomeAnswered,
		},
		{
			"connect fails in the tunnel that an answer named", probes.TCP, Remembered{},
			func(v *visit) {
				v.accepted, v.heard = true, true
				v.fail(classify(syscall.ECONNREFUSED))
			}, probes.OutcomeInconclusive,
		},
		{
			"connect fails after an accepted one", probes.TCP, Remembered{},
			func(v *visit) {
				v.accepted = true
				v.fail(classify(syscall.ECONNREFUSED))
			}, probes.OutcomeInconclusive,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ep := probes.Endpoint{Addr: loopback, Port: 80, Transport: tt.transport}
			v := newVisit(newProber(t, nil, db, quick()).Prober, ep, tt.known)
			tt.edit(v)
			if got, reason := v.verdict(); got != tt.want || reason == "" {
				t.Errorf("%s, reason %q; want %s", got, reason, tt.want)
			}
		})
	}
}

func TestStrongestFindingIsKept(t *testing.T) {
	named := func(s probes.Strength, service, answer string) finding {
		f := finding{strength: s, answer: []byte(answer)}
		f.id.Service = service
		return f
	}
	tests := []struct {
		name string
		all  []finding
		want string // service or answer
	}{
		{"hard after soft", []finding{
			named(probes.Soft, "a", ""), named(probes.Hard, "b", ""),
		}, "b"},
		{"second soft is ignored", []finding{
			named(probes.Soft, "a", ""), named(probes.Soft, "b", "longer"),
		}, "a"},
		{"unknown after soft", []finding{
			named(probes.Soft, "a", ""), named(probes.Unmatched, "", "longer"),
		}, "a"},
		{"the longer unknown", []finding{
			named(probes.Unmatched, "", "ab"), named(probes.Unmatched, "", "abc"), named(probes.Unmatched, "", "xyz"),
		}, "abc"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var v visit
			for _, f := range tt.all {
				v.keep(f)
			}
			if got := v.best.id.Service; got != tt.want && string(v.best.answer) != tt.want {
				t.Errorf("kept %q, %q", got, v.best.answer)
			}
		})
	}
}

// rejected is a connect that an ICMP message of this type and code ended.
type rejected [2]uint8

func (rejected) Error() string { return "connection refused" }

func (r rejected) Unwrap() error { return syscall.ECONNREFUSED }

func (r rejected) ICMP() (kind, code uint8) { return r[0], r[1] }
