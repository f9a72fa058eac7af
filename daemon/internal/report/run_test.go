package report

import (
	"encoding/xml"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sonde/match"
	"sonde/probes"
	"sonde/probes/ports"
)

// aRun has one of everything that the formats show.
func aRun() *Run {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return &Run{Version: "1.0", Args: []string{"sonde", "scan", "192.0.2.0/30"}, Method: "syn",
		Ports: ports.List{TCP: ports.Of(22, 80, 443), UDP: ports.Of(53)}, Total: 4, Start: start, End: start.Add(1500 * time.Millisecond),
		Hosts: []Host{
			{Addr: netip.MustParseAddr("192.0.2.1"), Names: []string{"www.example.org"}, PTR: []string{"a\x1b.example.org"},
				Hidden: []Hidden{{Count: 1, State: probes.Closed, Transport: probes.TCP, Reason: "reset"},
					{Count: 1, State: probes.OpenOrFiltered, Transport: probes.UDP, Reason: "no-response"}},
				Ports: []probes.Observation{
					{Port: 443, Transport: probes.TCP, State: probes.Open, Reason: "syn-ack", Tunnel: probes.TLS, Strength: probes.Hard,
						Identity: match.Identity{Service: "http", Product: "Apache httpd", Version: "2.4", Info: "a/b, <c> \"d\"\x00",
							Hostname: "h", OS: "Unix", Device: "router", CPE: []string{"cpe:/a:apache:http_server:2.4", "cpe:/o:x:y"}},
						TLS: []probes.TLSFacts{{Version: "TLS 1.3"}, {Certificate: &probes.Certificate{Subject: "CN=x\ny", Issuer: "CN=z",
							SANs: []string{"x", "y"}, Key: "Ed25519", SHA256: "00", NotBefore: start, NotAfter: start.AddDate(1, 0, 0)}}}},
					{Port: 22, Transport: probes.TCP, State: probes.Open, Reason: "syn-ack", Outcome: probes.OutcomeTCPWrapped},
				}},
			{Addr: netip.MustParseAddr("2001:db8::1"), Ports: []probes.Observation{
				{Port: 80, Transport: probes.TCP, State: probes.Open, Reason: "syn-ack", Strength: probes.Table,
					Identity: match.Identity{Service: "http"}, Fingerprint: `SF-Port80-TCP:%r(NULL,1,"x");`},
				{Port: 53, Transport: probes.UDP, State: probes.Open, Reason: "udp-response", Strength: probes.Hard,
					Identity: match.Identity{Service: "mountd"}, RPC: []probes.RPCFacts{{Program: 100005, Name: "mountd", Low: 1, High: 3}}},
				{Port: 443, Transport: probes.TCP, State: probes.Open, Reason: "syn-ack", Strength: probes.Unmatched},
			}},
		}}
}

func TestXML(t *testing.T) {
	r := aRun()
	r.Failed = errors.New("interrupted")
	var b strings.Builder
	if err := XML(&b, r); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	for _, want := range []string{
		"<!DOCTYPE nmaprun>\n<nmaprun scanner=\"nmap\" args=\"sonde scan 192.0.2.0/30\" start=\"1772366400\"",
		`<scaninfo type="syn" protocol="tcp" numservices="3" services="22,80,443">`,
		`<scaninfo type="udp" protocol="udp" numservices="1" services="53">`,
		`<address addr="2001:db8::1" addrtype="ipv6">`,
		`<hostname name="www.example.org" type="user"></hostname>`,
		`<hostname name="a..example.org" type="PTR"></hostname>`,
		`<extraports state="closed" count="1">`,
		`<extrareasons reason="no-response" count="1" proto="udp">`,
		`<service name="tcpwrapped" method="probed" conf="8">`,
		`<service name="http" product="Apache httpd" version="2.4" extrainfo="a/b, &lt;c&gt; &#34;d&#34;." hostname="h" ` +
			`ostype="Unix" devicetype="router" tunnel="ssl" method="probed" conf="10">`,
		"<cpe>cpe:/a:apache:http_server:2.4</cpe>\n     <cpe>cpe:/o:x:y</cpe>",
		`<service name="http" servicefp="SF-Port80-TCP:%r(NULL,1,&#34;x&#34;);" method="table" conf="3">`,
		`<service name="mountd" proto="rpc" rpcnum="100005" lowver="1" highver="3" method="probed" conf="10">`,
		`summary="Sonde 1.0 done at Sun Mar  1 12:00:01 2026; 4 addresses (2 up) scanned in 1.50 seconds" elapsed="1.50" exit="error" errormsg="interrupted"`,
		`<hosts up="2" down="2" total="4">`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
	if n := strings.Count(got, "<service "); n != 4 {
		t.Errorf("%d services, want 4: of one port nothing is known", n)
	}
	for d := xml.NewDecoder(strings.NewReader(got)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

func TestGrepable(t *testing.T) {
	want := `# Sonde 1.0 scan initiated Sun Mar  1 12:00:00 2026 as: sonde scan 192.0.2.0/30
Host: 192.0.2.1 (www.example.org)	Status: Up
Host: 192.0.2.1 (www.example.org)	Ports: 22/open/tcp//unknown//[tcpwrapped]/, 443/open/tcp//ssl|http//Apache httpd 2.4 (a|b  <c> "d".)/	Ignored State: closed (1)
Host: 2001:db8::1 ()	Status: Up
Host: 2001:db8::1 ()	Ports: 80/open/tcp//http?///, 443/open/tcp//unknown///, 53/open/udp//mountd/(mountd:100005*1-3)//
# Sonde done at Sun Mar  1 12:00:01 2026 -- 4 addresses (2 up) scanned in 1.50 seconds
`
	var b strings.Builder
	if err := Grepable(&b, aRun()); err != nil {
		t.Fatal(err)
	}
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
