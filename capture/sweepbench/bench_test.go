//go:build bench && linux

package sweepbench

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"

	"sonde/capture/capturetest"
)

// contenders are measured in turn, so that what else the machine does meets
// all of them.
var contenders = []struct {
	name string
	scan scanner
}{
	{"bare", bareLoop},
	{"bare+receive", bareBoth},
	{"masscan", masscan},
	{"zmap", zmap},
	{"sweep", ownSweep},
}

// TestBenchSweep measures the rate of our SYN sweep beside others, once against
// hosts that answer and once against silent ones. Its last line sums it up.
func TestBenchSweep(t *testing.T) {
	capturetest.NeedRoot(t)
	answering, silent := measure(t, false), measure(t, true)
	if t.Failed() || len(answering) < len(contenders) || len(silent) < len(contenders) {
		return
	}
	// The worse of both grounds counts, for each ratio.
	ratio := func(f func(result) float64, a, b string) float64 {
		return min(f(answering[a])/f(answering[b]), f(silent[a])/f(silent[b]))
	}
	own := answering["sweep"]
	fmt.Printf("sweep: kpps=%.0f masscan_ratio=%.2f zmap_ratio=%.2f found=%.4f cpu_ns_per_packet=%.0f bare_cpu_ratio=%.2f\n",
		own.perSecond()/1000, ratio(result.perSecond, "sweep", "masscan"), ratio(result.perSecond, "sweep", "zmap"),
		own.found, own.perPacket(), 1/ratio(result.perPacket, "bare+receive", "sweep"))
	if own.found < 1 || own.wrong > 0 {
		t.Errorf("our sweep found %.4f of the open ports, and %d wrong ones", own.found, own.wrong)
	}
}

// measure gives each contender's median run by rate.
func measure(t *testing.T, silent bool) map[string]result {
	t.Helper()
	rounds := 3
	if n, err := strconv.Atoi(os.Getenv("SONDE_SWEEP_ROUNDS")); err == nil && n > 0 {
		rounds = n
	}
	name := "answering"
	if silent {
		name = "silent"
	}
	runs := map[string][]result{}
	t.Run(name, func(t *testing.T) {
		g := newGround(t, silent)
		for range rounds {
			for _, c := range contenders {
				r := c.scan(t, g)
				t.Logf("%-12s %7.0f packets/s, %8d packets, found %.4f, wrong %d, %5.0f ns CPU each",
					c.name, r.perSecond(), r.packets, r.found, r.wrong, r.perPacket())
				runs[c.name] = append(runs[c.name], r)
			}
		}
	})
	median := map[string]result{}
	for name, list := range runs {
		slices.SortFunc(list, func(a, b result) int { return cmp.Compare(a.perSecond(), b.perSecond()) })
		median[name] = list[len(list)/2]
		fmt.Printf("%-12s median %.0f packets/s\n", name, median[name].perSecond())
	}
	return median
}
