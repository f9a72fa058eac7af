//go:build lab && linux

package simulation

import (
	"crypto/sha256"
	ctls "crypto/tls"
	"encoding/hex"
	"net"
	"net/netip"
	"testing"
	"time"

	"sonde/capture/capturetest"
	"sonde/daemon/internal/event"
	"sonde/probes"
)

// renewsItself is the box whose server makes a new certificate every two hours,
// and at each start, of random names and a random issuer. That is a true change
// which nobody here commands. So the test looks itself, from beside the lab's
// boxes where no frame is lost: each certificate that it finds in place of another
// one is to be told once, and any other that is told is false.
const renewsItself = "tor"

// A renewing is what such servers showed last.
type renewing struct {
	t      testing.TB
	looked time.Time
	shown  map[netip.AddrPort]shown
}

type shown struct {
	sum string // SHA-256 of the certificate
	at  time.Time
}

// lookEvery is shorter than it takes to confirm a change, so that we know of it
// first.
const lookEvery = 2 * time.Second

func newRenewing(t testing.TB, list []netip.AddrPort) *renewing {
	r := &renewing{t: t, shown: map[netip.AddrPort]shown{}}
	for _, a := range list {
		sum, err := certificateOf(t, a)
		if err != nil {
			t.Fatalf("certificate of %s: %v", a, err)
		}
		r.shown[a] = shown{sum, time.Now()}
	}
	if len(list) == 0 {
		t.Fatalf("the lab has no TLS port of %s", renewsItself)
	}
	return r
}

// expectRenewed looks which certificates are others than before.
func (c *campaign) expectRenewed() {
	r := c.renewing
	if time.Since(r.looked) < lookEvery {
		return
	}
	r.looked = time.Now()
	for a, was := range r.shown {
		sum, err := certificateOf(r.t, a)
		if err != nil {
			r.t.Logf("%v: certificate of %s: %v", c.now(), a, err)
			continue
		}
		r.shown[a] = shown{sum, time.Now()}
		if was.sum == sum {
			continue
		}
		r.t.Logf("%v: %s has another certificate", c.now(), a)
		c.expect(was.at.Sub(c.begun), want{own: true, within: time.Since(was.at) + toldIn,
			action: event.CertificateChanged, addr: a.Addr(), port: a.Port(), holds: func(e *event.Event) bool {
				return another(e) && e.Endpoint.TLS[0].Certificate.SHA256 == sum
			}})
	}
}

// certificateOf asks a server of the lab, from the lab's client.
func certificateOf(t testing.TB, a netip.AddrPort) (sum string, err error) {
	(&capturetest.Namespace{Name: labNamespace}).Do(t, func() error {
		var raw net.Conn
		if raw, err = net.DialTimeout("tcp", a.String(), lookEvery); err != nil {
			return nil
		}
		defer raw.Close()
		_ = raw.SetDeadline(time.Now().Add(2 * lookEvery))
		c := ctls.Client(raw, &ctls.Config{InsecureSkipVerify: true})
		if err = c.Handshake(); err == nil {
			of := sha256.Sum256(c.ConnectionState().PeerCertificates[0].Raw)
			sum = hex.EncodeToString(of[:])
		}
		return nil
	})
	return sum, err
}

// TestCampaignKnowsOwnChanges: what the lab's server shows in place of something else is to be
// told, as that and not as another certificate.
func TestCampaignKnowsOwnChanges(t *testing.T) {
	sc := labScope(t)
	c := &campaign{renewing: newRenewing(t, sc.renewing)}
	c.ledger = ledger{t: t, begun: time.Now()}
	a := sc.renewing[0]
	is := c.renewing.shown[a].sum
	if c.expectRenewed(); len(c.wants) != 0 {
		t.Fatalf("%d changes without any", len(c.wants))
	}
	c.renewing.shown[a], c.renewing.looked = shown{"another", time.Now()}, time.Time{}
	if c.expectRenewed(); len(c.wants) != 1 {
		t.Fatalf("%d changes, want 1", len(c.wants))
	}
	told := func(sum string) *event.Event {
		facts := func(sum string) *probes.Observation {
			return &probes.Observation{Addr: a.Addr(), Port: a.Port(),
				TLS: []probes.TLSFacts{{Certificate: &probes.Certificate{SHA256: sum}}}}
		}
		return &event.Event{Action: event.CertificateChanged, Cause: event.CauseTarget, Timestamp: time.Now(),
			Endpoint: facts(sum), Previous: facts("before")}
	}
	s := score{byAction: map[event.Action]int{}}
	c.score(&s, told(is))
	if c.sum(&s); s.own != 1 || s.changes != 0 || s.wrong != 0 || s.missed != 0 {
		t.Errorf("%+v", s)
	}
	if x := c.wants[0]; x.is(told("yet another"), c.begun) {
		t.Error("a certificate that is not there is taken for the server's own")
	}
}
