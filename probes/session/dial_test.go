package session

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// noDialer fails the test when it is used.
type noDialer struct{ t *testing.T }

func (d noDialer) DialContext(_ context.Context, network, address string) (net.Conn, error) {
	d.t.Errorf("dialled %s %s", network, address)
	return nil, os.ErrInvalid
}

// errDialer fails each connect in the same way.
type errDialer struct{ err error }

func (d errDialer) DialContext(context.Context, string, string) (net.Conn, error) {
	return nil, d.err
}

func TestConnectErrors(t *testing.T) {
	tests := []struct {
		err     error
		outcome probes.Outcome
		state   probes.State
		reason  string
	}{
		{syscall.ECONNREFUSED, probes.OutcomeRefused, probes.Closed, "conn-refused"},
		{syscall.EHOSTUNREACH, probes.OutcomeUnreachable, probes.Filtered, "host-unreach"},
		{syscall.ENETUNREACH, probes.OutcomeUnreachable, probes.Filtered, "net-unreach"},
		{syscall.ENOPROTOOPT, probes.OutcomeRefused, probes.Closed, "proto-unreach"},
		{syscall.EPERM, probes.OutcomeUnreachable, probes.Filtered, "locally-prohibited"},
		{os.ErrDeadlineExceeded, probes.OutcomeSilent, probes.Filtered, "no-response"},
		{syscall.EMFILE, probes.OutcomeInconclusive, "", "not tried"},
		{syscall.EADDRNOTAVAIL, probes.OutcomeInconclusive, "", "not tried"},
	}
	db := load(t, testDatabase, 80, false)
	for _, tt := range tests {
		t.Run(tt.err.Error(), func(t *testing.T) {
			err := &net.OpError{Op: "dial", Net: "tcp", Err: tt.err}
			p, newErr := newDialProber(dialConfig{Database: db, Settings: quick(), Dialer: errDialer{err}})
			if newErr != nil {
				t.Fatal(newErr)
			}
			ep := probes.Endpoint{Addr: loopback, Port: 80, Transport: probes.TCP}
			o := p.Visit(t.Context(), ep, Remembered{})
			if o.Outcome != tt.outcome || o.State != tt.state || o.Reason != tt.reason {
				t.Errorf("%s, %s, %q", o.Outcome, o.State, o.Reason)
			}
		})
	}
}

// selfDialer gives a connection whose two ends have one address.
type selfDialer struct{}

type selfConn struct{ net.Conn }

func (selfConn) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }
func (selfConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (selfDialer) DialContext(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	far.Close()
	return selfConn{near}, nil
}

func TestConnectToOurselvesIsRefused(t *testing.T) {
	db := load(t, testDatabase, 80, false)
	p, err := newDialProber(dialConfig{Database: db, Settings: quick(), Dialer: selfDialer{}})
	if err != nil {
		t.Fatal(err)
	}
	ep := probes.Endpoint{Addr: loopback, Port: 80, Transport: probes.TCP}
	if o := p.Visit(t.Context(), ep, Remembered{}); o.Outcome != probes.OutcomeRefused {
		t.Errorf("outcome %s", o.Outcome)
	}
}

func TestPaceComesBeforeEachConnect(t *testing.T) {
	s := serveLoopback(t, "tcp4", reply(page))
	calls := 0
	p, err := newDialProber(dialConfig{
		Database: load(t, testDatabase, s.addr.Port(), false),
		Settings: quick(),
		Pace: func(_ context.Context, addr netip.AddrPort) error {
			if addr != s.addr {
				t.Errorf("paced for %v", addr)
			}
			calls++
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	o := p.Visit(t.Context(), endpoint(s), Remembered{})
	if calls != 2 || o.Cost.Connections != 2 {
		t.Errorf("%d calls for %d connections", calls, o.Cost.Connections)
	}
}

func TestPaceThatNeverAllowsIsInconclusive(t *testing.T) {
	p, err := newDialProber(dialConfig{
		Database: load(t, testDatabase, 80, false),
		Settings: quick(),
		Dialer:   noDialer{t},
		Pace:     func(context.Context, netip.AddrPort) error { return errors.New("paused") },
	})
	if err != nil {
		t.Fatal(err)
	}
	ep := probes.Endpoint{Addr: loopback, Port: 80, Transport: probes.TCP}
	if o := p.Visit(t.Context(), ep, Remembered{}); o.Outcome != probes.OutcomeInconclusive {
		t.Errorf("outcome %s", o.Outcome)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	db := load(t, testDatabase, 80, false)
	for name, edit := range map[string]func(*Settings){
		"settle":    func(s *Settings) { s.Settle = 0 },
		"intensity": func(s *Settings) { s.Intensity = 10 },
		"answer":    func(s *Settings) { s.MaxAnswer = MaxAnswerLimit + 1 },
		"bytes":     func(s *Settings) { s.MaxBytes = s.MaxAnswer - 1 },
	} {
		s := quick()
		edit(&s)
		if _, err := newDialProber(dialConfig{Database: db, Settings: s}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := newDialProber(dialConfig{Settings: quick()}); err == nil {
		t.Error("no database: no error")
	}
}

// A recorder notes what is dialled and refuses it.
type recorder []string

func (r *recorder) DialContext(_ context.Context, network, address string) (net.Conn, error) {
	*r = append(*r, network+" "+address)
	return nil, syscall.ECONNREFUSED
}

func TestZoneIsDialled(t *testing.T) {
	var dialled recorder
	p, err := newDialProber(dialConfig{Database: load(t, testDatabase, 80, false), Settings: quick(), Dialer: &dialled})
	if err != nil {
		t.Fatal(err)
	}
	for _, transport := range []probes.Transport{probes.TCP, probes.UDP} {
		ep := probes.Endpoint{Addr: netip.MustParseAddr("fe80::1%eth7"), Port: 80, Transport: transport}
		if o := p.Visit(t.Context(), ep, Remembered{}); o.Addr.Zone() != "eth7" {
			t.Errorf("observed %v", o.Addr)
		}
	}
	want := recorder{"tcp [fe80::1%eth7]:80", "udp [fe80::1%eth7]:80"}
	if diff := cmp.Diff(want, dialled); diff != "" {
		t.Error(diff)
	}
}
