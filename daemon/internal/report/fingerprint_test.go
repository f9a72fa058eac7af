package report

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"sonde/probes"
)

func TestFingerprints(t *testing.T) {
	h := Host{Addr: netip.MustParseAddr("127.0.0.1"), Ports: []probes.Observation{
		{Port: 7, Transport: probes.TCP, State: probes.Open,
			Fingerprint: `SF-Port7-TCP:V=Sonde-1%I=7%D=1/2%Time=0%P=linux/amd64%r(NULL,2D,"` + strings.Repeat("a", 45) + `");`},
		{Port: 8, Transport: probes.TCP, State: probes.Open, Fingerprint: "SF\x1b[2J;"},
	}}
	want := `Sonde scan report for 127.0.0.1
PORT  STATE SERVICE VERSION
7/tcp open  unknown
8/tcp open  unknown

2 services answer what no signature explains. Write a signature from the text below, or hand it in: https://example.org/
It may name the host; --scrub hides that.
SF-Port7-TCP:V=Sonde-1%I=7%D=1/2%Time=0%P=linux/amd64%r(NULL,2D,"aaaaaaaaa
SF:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
SF.[2J;

`
	var b strings.Builder
	if err := Text(&b, []Host{h}, "https://example.org/"); err != nil {
		t.Fatal(err)
	}
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestAtMostNineFingerprints(t *testing.T) {
	h := Host{Addr: netip.MustParseAddr("127.0.0.1")}
	for i := range 11 {
		h.Ports = append(h.Ports, probes.Observation{Port: uint16(i + 1), Transport: probes.TCP,
			Fingerprint: fmt.Sprintf("SF-Port%d;", i+1)})
	}
	var b strings.Builder
	writeFingerprints(&b, h.Ports, "x")
	got := b.String()
	if n := strings.Count(got, "SF-Port"); n != 9 || !strings.Contains(got, "\n11 services answer ") ||
		!strings.HasSuffix(got, "SF-Port9;\nNot shown: 2 other fingerprints; -o json has all.\n") {
		t.Errorf("%d are shown:\n%s", n, got)
	}
}
