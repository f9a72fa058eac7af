package fragile

import (
	"testing"

	"sonde/match"
	"sonde/probes"
)

func TestHost(t *testing.T) {
	for _, c := range []struct {
		device, service string
		strength        probes.Strength
		want            bool
	}{
		{"printer", "http", probes.Hard, true},
		{"print server", "telnet", probes.Hard, true},
		{"power-device", "snmp", probes.Hard, true},
		{"specialized", "ftp", probes.Hard, true},
		{"", "modbus", probes.Hard, true},
		{"", "hp-pjl", probes.Hard, true},
		{"", "modbus", probes.Table, false}, // only the port number says so
		{"", "modbus", probes.Soft, false},
		{"", "printer", probes.Hard, false}, // LPD runs on servers
		{"router", "http", probes.Hard, false},
		{"", "ssh", probes.Hard, false},
	} {
		o := probes.Observation{Strength: c.strength, Identity: match.Identity{Service: c.service, Device: c.device}}
		if got := Host(&o); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
