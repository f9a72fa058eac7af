package report

import (
	"strings"
	"testing"

	"sonde/probes"
)

func TestPrograms(t *testing.T) {
	mapper := func(transport probes.Transport, facts ...probes.RPCFacts) probes.Observation {
		o := probes.Observation{Port: 111, Transport: transport, RPC: facts}
		o.Service = "rpcbind"
		return o
	}
	portmapper := probes.RPCFacts{Program: 100000, Name: "portmapper", Low: 2, High: 4}
	other := probes.RPCFacts{Program: 7, Low: 1, High: 1}
	behind := mapper(probes.TCP, other)
	behind.Service = "rpc"
	for _, tt := range []struct {
		title string
		ports []probes.Observation
		want  string
	}{
		{"none", []probes.Observation{mapper(probes.TCP), behind}, ""},
		{"alike", []probes.Observation{mapper(probes.TCP, portmapper, other), mapper(probes.UDP, portmapper, other)},
			"SunRPC programs (111/tcp, 111/udp): portmapper 2-4 #100000, unknown 1 #7\n"},
		{"not alike", []probes.Observation{mapper(probes.TCP, portmapper), mapper(probes.UDP, other)},
			"SunRPC programs (111/tcp): portmapper 2-4 #100000\nSunRPC programs (111/udp): unknown 1 #7\n"},
	} {
		var b strings.Builder
		if writePrograms(&b, tt.ports); b.String() != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.title, b.String(), tt.want)
		}
	}
}
