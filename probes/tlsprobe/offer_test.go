package tlsprobe

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
)

func TestOffersName(t *testing.T) {
	for _, tt := range []struct {
		names []string
		want  string
	}{
		{nil, ""},
		{[]string{"", "192.0.2.1", "*.box.example", "box.example", "other.example"}, "box.example"},
		{[]string{"2001:db8::1"}, ""},
	} {
		offers := Offers(tt.names)
		if got := offers[0].Config.Name; got != tt.want {
			t.Errorf("%q: first offer names %q", tt.names, got)
		}
		if got := offers[3].Hello.Name; got != tt.want {
			t.Errorf("%q: hello by hand names %q", tt.names, got)
		}
		if offers[1].Config.Name != "" || offers[2].Config.Name != "" {
			t.Errorf("%q: later offers name something", tt.names)
		}
	}
}

// The ways that a server that fails in the same manner each time is led.
func TestNext(t *testing.T) {
	alert := func(text string) Try {
		return Try{SpokeTLS: true, Facts: probes.TLSFacts{Alert: text}}
	}
	silent := func(text string) Try { return Try{Silent: true, Facts: probes.TLSFacts{Alert: text}} }
	chose := func(text string) Try {
		return Try{SpokeTLS: true, Facts: probes.TLSFacts{Alert: text, Version: "TLS 1.2"}}
	}
	cert := alert("certificate required")
	cert.Facts.Certificate = &probes.Certificate{SHA256: "00"}
	named, nameless := []string{"box.example"}, []string(nil)
	tests := []struct {
		name  string
		names []string
		known bool
		fails []Try // the last again and again
		want  []int // offers made
	}{
		{"no suite in common", named, false, []Try{alert("handshake failure")}, []int{0, 1, 3, 4, 5}},
		{"no suite in common, no name", nameless, false, []Try{alert("handshake failure")}, []int{0, 3, 4, 5}},
		{"weak", nameless, false, []Try{alert("insufficient security level")}, []int{0, 3, 4, 5}},
		{"too new", named, false, []Try{alert("protocol version not supported")}, []int{0, 1 + 1, 5, 6}},
		{"name unknown", named, false, []Try{alert("unrecognized name")}, []int{0, 1}},
		{"name demanded", nameless, false, []Try{alert("unrecognized name")}, []int{0}},
		{"name unknown, then too new", named, false,
			[]Try{alert("unrecognized name"), alert("protocol version not supported")}, []int{0, 1, 2, 5, 6}},
		{"does not understand", named, false, []Try{alert("decode error")}, []int{0, 1, 2, 3, 4}},
		{"broken inside", named, false, []Try{alert("internal error")}, []int{0, 1, 2, 4}},
		{"certificate seen", named, true, []Try{cert}, []int{0}},
		{"certificate unreadable", named, false, []Try{chose("failed to parse certificate")}, []int{0, 3}},
		{"unreadable, and 1.3 alone", named, false,
			[]Try{chose("failed to parse certificate"), alert("protocol version not supported")}, []int{0, 3}},
		{"all said in clear", named, false,
			[]Try{alert("handshake failure"), alert("handshake failure"), chose(NotContinued)}, []int{0, 1, 3}},
		{"no certificate", named, false,
			[]Try{alert("handshake failure"), alert("handshake failure"),
				{SpokeTLS: true, Facts: probes.TLSFacts{Version: "TLS 1.2", Alert: NotContinued,
					Cipher: "TLS_DH_anon_WITH_AES_256_GCM_SHA384"}}, alert("decrypt error")}, []int{0, 1, 3, 7}},
		{"hangs up", named, false, []Try{silent("closed")}, []int{0, 1}},
		{"hangs up, known", named, true, []Try{silent("reset")}, []int{0, 1, 2, 4, 5}},
		{"hangs up once it spoke", named, false, []Try{alert("decode error"), silent("reset")}, []int{0, 1, 2, 4, 5}},
		{"waits", named, true, []Try{silent("timeout")}, []int{0}},
		{"stalls", named, true, []Try{alert("timeout")}, []int{0}},
		{"speaks something else", named, true, []Try{{Facts: probes.TLSFacts{Alert: "not TLS"}}}, []int{0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			offers := Offers(tt.names)
			made := []int{0}
			var tries []Try
			for {
				try := tt.fails[min(len(tries), len(tt.fails)-1)]
				try.Offer = made[len(made)-1]
				tries = append(tries, try)
				next, ok := Next(offers, tries, tt.known)
				if !ok {
					break
				}
				made = append(made, next)
			}
			if !slices.Equal(made, tt.want) || len(made) > MaxOffers {
				t.Errorf("made %v, want %v", made, tt.want)
			}
		})
	}
}

func TestJoin(t *testing.T) {
	refused := probes.TLSFacts{Name: "box.example", Alert: "handshake failure", Offered: "TLS 1.3"}
	hungUp := probes.TLSFacts{Alert: "closed", Offered: "TLS 1.2"}
	byHand := probes.TLSFacts{
		Version: "SSLv3", Cipher: "TLS_RSA_EXPORT_WITH_RC4_40_MD5", Alert: NotContinued,
		Offered: "TLS 1.2", Certificate: &probes.Certificate{SHA256: "00"},
	}
	whole := probes.TLSFacts{Version: "TLS 1.2", Cipher: "x"}
	joined := byHand
	joined.Alert, joined.Offered = "handshake failure", "TLS 1.3, TLS 1.2"
	for _, tt := range []struct {
		name                 string
		earlier, later, want probes.TLSFacts
	}{
		{"by hand after a refusal", refused, byHand, joined},
		{"success at last", refused, whole, whole},
		{"success before", whole, refused, whole},
		{"alert after a close", hungUp, refused, probes.TLSFacts{Alert: "handshake failure", Offered: "TLS 1.2, TLS 1.3"}},
		{"close after an alert", refused, hungUp, probes.TLSFacts{
			Name: "box.example", Alert: "handshake failure", Offered: "TLS 1.3, TLS 1.2",
		}},
	} {
		if diff := cmp.Diff(tt.want, Join(tt.earlier, tt.later)); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}
