package session

import (
	"slices"
	"testing"

	"sonde/probes"
)

func TestWhereTLSComesFirst(t *testing.T) {
	db, err := probes.Load(probes.Source{Name: "test.probes", Data: []byte(`
Probe TCP Get q|GET|
ports 80,6379
sslports 443,6379
Probe TCP Hello q|\x16\x03\x01|
ports 9443,6380
sslports 1
Probe TCP Other q|o|
ports 6380
Probe UDP Datagram q|d|
sslports 853
`)})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		port uint16
		want bool
		why  string
	}{
		{80, false, "only in clear"},
		{443, true, "only inside a tunnel"},
		{6379, false, "both ways: in clear first"},
		{9443, true, "a hello lists it"},
		{6380, true, "a hello goes before a plain probe"},
		{853, false, "UDP has no tunnel"},
		{5, false, "unknown"},
	}
	for _, tt := range tests {
		v := newVisit(newProber(t, nil, db, quick()).Prober, probes.Endpoint{Port: tt.port, Transport: probes.TCP}, Remembered{})
		if got := v.isTLSPort(); got != tt.want {
			t.Errorf("port %d (%s): %v", tt.port, tt.why, got)
		}
	}
}

func TestOrderOfProbes(t *testing.T) {
	db := load(t, testDatabase, 7000, false)
	order := func(port uint16, tunnel probes.Tunnel, intensity int, soft string) []string {
		settings := quick()
		settings.Intensity = intensity
		v := newVisit(newProber(t, nil, db, settings).Prober, probes.Endpoint{Port: port, Transport: probes.TCP}, Remembered{})
		v.tunnel = tunnel
		if soft != "" {
			v.best = finding{strength: probes.Soft}
			v.best.id.Service = soft
		}
		var names []string
		for pr := v.next(); pr != nil; pr = v.next() {
			names = append(names, pr.Name)
			v.asked = append(v.asked, pr)
		}
		return names
	}
	tests := []struct {
		name      string
		port      uint16
		tunnel    probes.Tunnel
		intensity int
		soft      string
		want      []string
	}{
		{"by rarity", 5, "", 7, "", []string{"GetRequest", "Hello", "TLSSessionReq"}},
		{"low intensity", 5, "", 3, "", []string{"GetRequest", "Hello"}},
		{"listed whatever the rarity", 7000, "", 0, "", []string{"GetRequest"}},
		{"no hello inside a tunnel", 5, probes.TLS, 7, "", []string{"GetRequest", "Hello"}},
		{"soft match narrows and lifts rarity", 5, "", 7, "ftp", []string{"FTPHelp"}},
		{
			"intensity 9 does not narrow", 5, "", 9, "ftp",
			[]string{"GetRequest", "FTPHelp", "Hello", "TLSSessionReq"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := order(tt.port, tt.tunnel, tt.intensity, tt.soft); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
