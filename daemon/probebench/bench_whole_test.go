//go:build bench

package probebench

import (
	"testing"
	"time"

	"sonde/probes"
)

// TestBenchProbeWhole weighs the scan and the sensor, with all that they hold
// beside the conversations, while 10,000 silent peers are asked at once.
func TestBenchProbeWhole(t *testing.T) {
	for _, name := range []string{"scanall", "sense"} {
		t.Run(name, func(t *testing.T) {
			ns := crowdNamespace(t)
			server := start(t, ns, "serve", serveSpec{Port: crowdPort}, nil)
			var r wholeResult
			start(t, ns, name, wholeSpec{Port: crowdPort, Count: silentPeers}, nil).wait(&r)
			var s serveResult
			server.stop(&s)
			mib := float64(r.PeakKiB) / 1024
			t.Logf("%d silent peers: %.1f MiB (%.1f before), %v; %d peers at once; outcomes %v", silentPeers,
				mib, float64(r.IdleKiB)/1024, r.Took.Round(time.Second), s.MostPeers, r.Outcomes)
			if s.MostPeers < silentPeers {
				t.Errorf("%d of %d peers were held at once", s.MostPeers, silentPeers)
			}
			if n := r.Outcomes[string(probes.OutcomeSilent)]; n != silentPeers {
				t.Errorf("%d of %d silent peers were told to be silent: %v", n, silentPeers, r.Outcomes)
			}
			if mib > maxHeldMiB {
				t.Errorf("%.1f MiB to ask %d peers, want at most %d", mib, silentPeers, maxHeldMiB)
			}
		})
	}
}
