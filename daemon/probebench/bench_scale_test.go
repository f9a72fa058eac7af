//go:build bench

package probebench

import (
	"maps"
	"slices"
	"testing"
	"time"
)

const (
	silentPeers = 10_000
	bannerPeers = 20_000

	// maxHeldMiB bounds the whole process while it holds silentPeers.
	maxHeldMiB = 150
	// maxBannerCPU bounds what identifying bannerPeers may compute.
	maxBannerCPU = 3 * time.Second
)

// crowdPort is listed by no probe, so that the whole ladder is climbed.
const crowdPort = 47

// crowdBanner is a greeting whose syntax proves its end.
const crowdBanner = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7\r\n"

// measureHeld visits 10,000 peers that accept and stay silent, all at once,
// and gives the memory of the whole process in MiB.
func measureHeld(t *testing.T) float64 {
	ns := crowdNamespace(t)
	server := start(t, ns, "serve", serveSpec{Port: crowdPort}, nil)
	client := start(t, ns, "hold", holdSpec{Port: crowdPort, Count: silentPeers, Parallel: silentPeers}, nil)
	var r holdResult
	client.wait(&r)
	var s serveResult
	server.stop(&s)
	mib := float64(r.PeakKiB) / 1024
	t.Logf("%d silent peers: %.1f MiB (%.1f before), %v, %v of CPU, descriptors %d before and %d after; "+
		"%d connections in all, %d at once, %d peers at once; outcomes %v", silentPeers, mib, float64(r.IdleKiB)/1024,
		r.Took.Round(time.Second), r.CPU.Round(time.Millisecond), r.FilesBefore, r.FilesAfter,
		s.Accepted, s.MostConns, s.MostPeers, r.Outcomes)
	if s.MostPeers < silentPeers {
		t.Errorf("%d of %d peers were held at once", s.MostPeers, silentPeers)
	}
	if n := r.Outcomes["silent "]; n != silentPeers {
		t.Errorf("%d of %d silent peers were told to be silent: %v", n, silentPeers, r.Outcomes)
	}
	if r.FilesAfter > r.FilesBefore {
		t.Errorf("descriptors: %d before, %d after", r.FilesBefore, r.FilesAfter)
	}
	if mib > maxHeldMiB {
		t.Errorf("%.1f MiB to hold %d peers, want at most %d", mib, silentPeers, maxHeldMiB)
	}
	return mib
}

// measureBanners identifies 20,000 short greetings, and does the same with a
// goroutine and package net each. It gives the CPU time per endpoint of both.
func measureBanners(t *testing.T) (own, plain time.Duration) {
	ns := crowdNamespace(t)
	server := start(t, ns, "serve", serveSpec{Port: crowdPort, Banner: crowdBanner}, nil)
	const rounds = 3 // the least counts: what else runs only adds
	each := map[bool]time.Duration{}
	for range rounds {
		for _, plain := range []bool{false, true} {
			var r holdResult
			start(t, ns, "hold", holdSpec{Port: crowdPort, Count: bannerPeers, Parallel: 500, Plain: plain}, nil).wait(&r)
			t.Logf("%d greetings, plain Go %t: %v of CPU, %v, %.1f MiB; %v", bannerPeers, plain,
				r.CPU.Round(time.Millisecond), r.Took.Round(time.Millisecond), float64(r.PeakKiB)/1024, r.Outcomes)
			if r.Outcomes["answered OpenSSH"] != bannerPeers {
				t.Errorf("plain Go %t: outcomes %v", plain, slices.Sorted(maps.Keys(r.Outcomes)))
			}
			if took := r.CPU / bannerPeers; each[plain] == 0 || took < each[plain] {
				each[plain] = took
			}
		}
	}
	server.stop(nil)
	if total := each[false] * bannerPeers; total > maxBannerCPU {
		t.Errorf("%v of CPU for %d greetings, want at most %v", total.Round(time.Millisecond), bannerPeers, maxBannerCPU)
	}
	return each[false], each[true]
}

// crowdNamespace is one whose listener takes a crowd that comes at once.
func crowdNamespace(t *testing.T) string {
	t.Helper()
	ns := newNamespace(t)
	run(t, "ip", "netns", "exec", ns, "sysctl", "-qw", "net.core.somaxconn=65535",
		"net.ipv4.tcp_max_syn_backlog=65535")
	return ns
}
