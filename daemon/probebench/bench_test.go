//go:build bench

package probebench

import (
	"fmt"
	"testing"
	"time"
)

// TestBenchProbe measures what the conversation engine promises, beside the
// reference scanner in the same run. Its last line sums it up; it fails where
// a promise is broken, after all was measured.
func TestBenchProbe(t *testing.T) {
	needRoot(t)
	var (
		figures    labFigures
		cpu, plain time.Duration
		conns, mib float64
	)
	// The small ones first: what they show needs no patience.
	t.Run("banners", func(t *testing.T) { cpu, plain = measureBanners(t) })
	silent, showSilent := measureSilent(t)
	t.Run("held", func(t *testing.T) { mib = measureHeld(t) })
	t.Run("revisit", func(t *testing.T) { conns = measureRevisit(t) })
	t.Run("single", measureSingle)
	t.Run("lab", func(t *testing.T) { figures = measureLab(t) })
	showSilent()
	fmt.Printf("probe: lab_ratio=%.1f services=%d products=%d versions=%d wrong=%d silent_s=%.1f "+
		"conns_per_revisit=%.2f rss_mib_10k=%.0f cpu_us_per_conn=%.0f cpu_us_per_conn_net=%.0f\n",
		figures.ratio, figures.own.services, figures.own.products, figures.own.versions, figures.own.wrong,
		silent.Seconds(), conns, mib, micros(cpu), micros(plain))
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
