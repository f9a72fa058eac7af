package probes

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const ladderFile = `Probe TCP NULL q||
match ssh m|^SSH|
Probe TCP Rare q|1|
rarity 9
ports 80
match web m|^rare|
Probe TCP Common q|2|
rarity 1
match web m|^web|
Probe TCP Middle q|3|
rarity 7
ports 443
match mail m|^m|
softmatch web m|^soft|
Probe TCP Inside q|4|
rarity 8
sslports 443
fallback Middle
Probe TCP Default q|5|
# needs: credentials
Probe TCP Guess q|6|
rarity 1
Probe UDP Udp q|7|
ports 53
Probe UDP UdpQuiet q|8| no-payload
ports 53
# needs: credentials
Probe UDP Snmp q|9|
ports 53,161
`

func TestLadder(t *testing.T) {
	db := mustLoad(t, ladderFile)
	tests := []struct {
		name string
		req  LadderRequest
		want []string // those that list the port have a star
	}{
		{"rarity up to intensity, in file order", LadderRequest{Transport: TCP, Port: 1, Intensity: 7},
			[]string{"Common", "Middle", "Default"}},
		{"light", LadderRequest{Transport: TCP, Port: 1, Intensity: 2}, []string{"Common"}},
		{"none", LadderRequest{Transport: TCP, Port: 1}, nil},
		{"all", LadderRequest{Transport: TCP, Port: 1, Intensity: 9},
			[]string{"Rare", "Common", "Middle", "Inside", "Default"}},
		{"a listed port comes first, rarity ignored", LadderRequest{Transport: TCP, Port: 80, Intensity: 1},
			[]string{"Rare*", "Common"}},
		{"no tunnel, sslports mean nothing", LadderRequest{Transport: TCP, Port: 443, Intensity: 7},
			[]string{"Middle*", "Common", "Default"}},
		{"in a tunnel only sslports count", LadderRequest{Transport: TCP, Port: 443, Tunnel: TLS, Intensity: 7},
			[]string{"Inside*", "Common", "Middle", "Default"}},
		{"after a soft match", LadderRequest{Transport: TCP, Port: 1, Intensity: 1, SoftService: "web"},
			[]string{"Rare", "Common", "Middle"}},
		{"after a soft match, listed first", LadderRequest{Transport: TCP, Port: 443, Intensity: 1, SoftService: "web"},
			[]string{"Middle*", "Rare", "Common"}},
		{"after a soft match, own lines only", LadderRequest{Transport: TCP, Port: 443, Tunnel: TLS, Intensity: 7, SoftService: "mail"},
			[]string{"Middle"}},
		{"soft match of an unknown service", LadderRequest{Transport: TCP, Port: 80, Intensity: 8, SoftService: "ssh"}, nil},
		{"intensity 9 does not narrow", LadderRequest{Transport: TCP, Port: 1, Intensity: 9, SoftService: "mail"},
			[]string{"Rare", "Common", "Middle", "Inside", "Default"}},
		{"with permission", LadderRequest{Transport: TCP, Port: 1, Intensity: 1, Allow: NeedCredentials},
			[]string{"Common", "Guess"}},
		{"another permission", LadderRequest{Transport: UDP, Port: 161, Intensity: 4, Allow: NeedHeld}, nil},
		{"UDP", LadderRequest{Transport: UDP, Port: 53, Intensity: 7, Allow: NeedCredentials},
			[]string{"Udp*", "UdpQuiet*", "Snmp*"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, rung := range db.Ladder(tt.req) {
				name := rung.Probe.Name
				if rung.Listed {
					name += "*"
				}
				got = append(got, name)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestUDPPayloads(t *testing.T) {
	db := mustLoad(t, ladderFile)
	for _, tt := range []struct {
		port  uint16
		allow Needs
		want  []string
	}{
		{53, 0, []string{"udp Udp"}},
		{53, NeedCredentials, []string{"udp Udp", "udp Snmp"}},
		{161, 0, nil},
		{80, NeedCredentials, nil},
	} {
		if diff := cmp.Diff(tt.want, probeNames(db.UDPPayloads(tt.port, tt.allow))); diff != "" {
			t.Errorf("port %d, allowed %q (-want +got):\n%s", tt.port, tt.allow, diff)
		}
	}
	excluded := mustLoad(t, "Exclude U:53\n"+ladderFile)
	if got := excluded.UDPPayloads(53, NeedCredentials); len(got) > 0 {
		t.Errorf("an excluded port is asked with %v", probeNames(got))
	}
}
