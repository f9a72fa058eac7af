//go:build bench

package probebench

import (
	"cmp"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sonde/probes"
)

// long is when a visit is worth a line.
const long = 5 * time.Second

// nmapFile is the reference's own probe file, of its package.
const nmapFile = "/usr/share/nmap/nmap-service-probes"

// labFigures is what the last line says of the lab.
type labFigures struct {
	ratio float64
	own   graded
}

// measureLab scans the whole lab with the program and the reference scanner
// on the same ports, and grades both by what really runs.
func measureLab(t *testing.T) labFigures {
	all := theLab(t)
	targets, ports := addressesOf(all), portsOf(all)
	peer := shared(t, "peer/nmap-service-probes")
	polite := scanIn(t, labNamespace, "sonde-polite.json", targets, ports, append(slices.Clone(allowAll), "--host-connections", "2")...)
	fast := slices.Concat(allowAll, fastScan)
	own := scanIn(t, labNamespace, "sonde.json", targets, ports, fast...)
	theirs := scanIn(t, labNamespace, "sonde-peer.json", targets, ports, append(fast, "--database", peer)...)
	older := scanIn(t, labNamespace, "sonde-debian.json", targets, ports, append(fast, "--database", nmapFile)...)
	joined := scanIn(t, labNamespace, "sonde-joined.json", targets, ports, append(fast, "--database", peer, "--database", "builtin")...)
	nmapPath, nmapTook := earlierNmap(t, "SONDE_NMAP_XML")
	if nmapPath == "" {
		nmapPath, nmapTook = nmapScan(t, labNamespace, "nmap.xml", targets, ports)
	}
	barePath, bareTook := earlierNmap(t, "SONDE_NMAP_BARE_XML")
	if barePath == "" {
		barePath, bareTook = nmapScan(t, labNamespace, "nmap-bare.xml", targets, ports, withoutScripts(t)...)
	}
	f := labFigures{ratio: nmapTook.Seconds() / own.took.Seconds(), own: gradeScan(t, own.path)}
	withTheirs, reference, bare := gradeScan(t, theirs.path), gradeScan(t, nmapPath), gradeScan(t, barePath)
	withBoth := gradeScan(t, joined.path)
	t.Logf("%-34s %7s %9s %9s %9s %6s %6s", "", "wall s", "services", "products", "versions", "wrong", "ratio")
	for _, row := range []struct {
		name string
		took time.Duration
		g    graded
	}{
		{"nmap -sV -T4", nmapTook, reference},
		{"nmap -sV -T4, without its scripts", bareTook, bare},
		{"sonde, default rate", polite.took, gradeScan(t, polite.path)},
		{"sonde, no rate", own.took, f.own},
		{"sonde, no rate, peer's database", theirs.took, withTheirs},
		{"sonde, no rate, nmap's database", older.took, gradeScan(t, older.path)},
		{"sonde, no rate, peer's and built-in", joined.took, withBoth},
	} {
		t.Logf("%-34s %7.1f %9d %9d %9d %6d %6.1f", row.name, row.took.Seconds(), row.g.services,
			row.g.products, row.g.versions, row.g.wrong, nmapTook.Seconds()/row.took.Seconds())
	}
	for _, w := range withTheirs.worseThan(reference) {
		t.Errorf("with the peer's database wrong, where the reference is right: %s", w)
	}
	for _, w := range f.own.worseThan(reference) {
		t.Errorf("with the built-in database wrong, where the reference is right: %s", w)
	}
	if !withTheirs.beats(reference) {
		t.Errorf("with the peer's database no more is right than the reference finds")
	}
	if !withBoth.beats(reference) || !f.own.beats(reference) {
		t.Errorf("with the built-in database, alone or behind the peer's, no more is right than the reference finds")
	}
	if f.own.wrong > 0 {
		t.Errorf("with the built-in database %d fields are wrong", f.own.wrong)
	}
	if f.ratio < minRatio {
		t.Errorf("the lab took %.1f s, the reference %.1f times that; want %d times", own.took.Seconds(), f.ratio, minRatio)
	}
	logLong(t, own, all)
	return f
}

// minRatio is how many times faster than the reference the whole lab must be.
const minRatio = 20

// logLong lists the visits that take long, as they are what the wall time is
// made of.
func logLong(t *testing.T, s scanned, all []truth) {
	boxes := map[key]string{}
	for _, tr := range all {
		boxes[tr.key()] = tr.Box
	}
	list := slices.SortedFunc(maps.Values(s.found), func(a, b *probes.Observation) int {
		return cmp.Compare(b.Cost.Millis, a.Cost.Millis)
	})
	for _, o := range list {
		if o.Cost.Millis < long.Milliseconds() {
			break
		}
		k := key{o.Addr, o.Port, o.Transport}
		t.Logf("%s: %5.1f s, %d connections, %d probes, %d bytes: %s %s %s %s %s %s", filepath.Base(s.path),
			float64(o.Cost.Millis)/1000, o.Cost.Connections, o.Cost.Probes, o.Cost.BytesIn,
			boxes[k], k, o.Outcome, o.Strength, o.Service, o.Product)
	}
}
