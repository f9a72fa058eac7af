package report

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"sonde/match"
	"sonde/probes"
)

func TestTextOfAHost(t *testing.T) {
	h := Host{Addr: netip.MustParseAddr("127.0.0.1"), Names: []string{"localhost"},
		Hidden: []Hidden{
			{Count: 1020, State: probes.Closed, Transport: probes.TCP, Reason: "conn-refused"},
			{Count: 1, State: probes.Filtered, Transport: probes.TCP, Reason: "no-response"},
		},
		Ports: []probes.Observation{
			{Port: 443, Transport: probes.TCP, State: probes.Open, Tunnel: probes.TLS,
				Strength: probes.Hard, Identity: match.Identity{Service: "http", Product: "nginx",
					Version: "1.22.1"}},
			{Port: 22, Transport: probes.TCP, State: probes.Open, Strength: probes.Hard,
				Identity: match.Identity{Service: "ssh", Product: "OpenSSH", Version: "9.2p1",
					Info: "protocol 2.0", OS: "Linux", Hostname: "LOCALHOST",
					CPE: []string{"cpe:/a:openbsd:openssh:9.2p1", "cpe:/o:linux:linux_kernel"}}},
			{Port: 9, Transport: probes.TCP, State: probes.Open, Strength: probes.Table,
				Outcome: probes.OutcomeSilent, Identity: match.Identity{Service: "discard"}},
			{Port: 9100, Transport: probes.TCP, State: probes.Open, Strength: probes.Table, Reason: "print port",
				Outcome: probes.OutcomeHeld, Identity: match.Identity{Service: "jetdirect"}},
			{Port: 3306, Transport: probes.TCP, State: probes.Open, Strength: probes.Soft,
				Outcome: probes.OutcomeBlocked, Identity: match.Identity{Service: "mysql"}},
			{Port: 7777, Transport: probes.TCP, State: probes.Open, Strength: probes.Hard,
				Identity: match.Identity{Service: "x", Product: "evil\x1b[2J\tproduct"}},
		}}
	want := `Sonde scan report for 127.0.0.1 (localhost)
Not shown: 1020 closed tcp ports (conn-refused), 1 filtered tcp port (no-response)
PORT     STATE SERVICE                   VERSION
9/tcp    open  discard?                  [silent]
22/tcp   open  ssh                       OpenSSH 9.2p1 (protocol 2.0)
443/tcp  open  ssl/http                  nginx 1.22.1
3306/tcp open  mysql                     [blocked]
7777/tcp open  x                         evil.[2J.product
9100/tcp open  jetdirect|pdl-datastream? [held: print port]
Service Info: OS: Linux; CPE: cpe:/o:linux:linux_kernel

`
	var b strings.Builder
	if err := Text(&b, []Host{h}, ""); err != nil {
		t.Fatal(err)
	}
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestClosing(t *testing.T) {
	var b strings.Builder
	err := Closing(&b, Summary{Version: "1.0", Hosts: 1, Up: 1, Ports: 1024, Open: 3,
		Elapsed: 2310 * time.Millisecond})
	want := "Sonde 1.0 done: 1 address (1 up), 1024 ports asked, 3 open, in 2.31 seconds\n"
	if err != nil || b.String() != want {
		t.Errorf("got %q, %v; want %q", b.String(), err, want)
	}
}

func TestServiceInfoListsAtMostFive(t *testing.T) {
	h := Host{Addr: netip.MustParseAddr("127.0.0.1")}
	for i := range 9 {
		h.Ports = append(h.Ports, probes.Observation{Port: uint16(i + 1), Transport: probes.TCP,
			Identity: match.Identity{Hostname: strings.Repeat("h", i+1)}})
	}
	got := serviceInfo(&h, h.Ports)
	if got != "Service Info: Hosts: h, hh, hhh, hhhh, hhhhh" {
		t.Errorf("got %q", got)
	}
}
