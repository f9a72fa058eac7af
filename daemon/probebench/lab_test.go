//go:build integration || lab || bench

package probebench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sonde/probes"
)

// labNamespace is where the lab's clients live.
const labNamespace = "lab"

// A truth is what really runs at one endpoint of the lab.
type truth struct {
	Box       string
	Addr      netip.Addr
	Port      uint16
	Transport probes.Transport `json:"proto"`
	Service   string
	Product   string
	TLS       string
}

func (tr *truth) key() key { return key{tr.Addr, tr.Port, tr.Transport} }

// lab tells what a test left behind; one at a time starts it.
var lab struct {
	sync.Mutex
	down string // what stops it, if it was started here
}

// theLab gives all endpoints of the lab of real servers, by address, and
// starts it unless it runs.
func theLab(t testing.TB) []truth {
	t.Helper()
	needRoot(t)
	up := shared(t, "lab/up.sh")
	lab.Lock()
	defer lab.Unlock()
	if !slices.Contains(strings.Fields(run(t, "ip", "netns", "list")), labNamespace) {
		lab.down = filepath.Join(filepath.Dir(up), "down.sh")
		run(t, lab.down) // what an earlier boot left
		t.Logf("the lab: %s", run(t, up, "train"))
	}
	run(t, "python3", shared(t, "lab/lab.py"), "truth", "train")
	data, err := os.ReadFile(filepath.Join(labState(), "truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []truth
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("nothing listens in the lab")
	}
	slices.SortFunc(all, func(a, b truth) int {
		return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Transport, b.Transport), cmp.Compare(a.Port, b.Port))
	})
	return all
}

// leaveLab stops the lab if a test started it.
func leaveLab() {
	if lab.down != "" {
		_ = exec.Command(lab.down).Run()
	}
}

func labState() string {
	return cmp.Or(os.Getenv("LAB_STATE"), "/var/tmp/sonde-lab")
}

// restartBox gives a box of the lab a fresh start.
func restartBox(t testing.TB, box string) {
	t.Helper()
	script := shared(t, "lab/lab.py")
	run(t, "python3", script, "down", box)
	t.Logf("restarted %s: %s", box, run(t, "python3", script, "up", box))
	forgetNeighbours(t)
}

// forgetNeighbours lets the lab's client ask anew for link addresses: a box that
// was restarted has another.
func forgetNeighbours(t testing.TB) {
	t.Helper()
	run(t, "ip", "-n", labNamespace, "neigh", "flush", "all")
}

// jobs are visits to endpoints of which nothing is known.
func jobs(all []truth) []job {
	out := make([]job, len(all))
	for i, tr := range all {
		out[i] = job{Addr: tr.Addr, Port: tr.Port, Transport: tr.Transport}
	}
	return out
}

// addressesOf and portsOf give what a scanner is told: each address once, and
// the ports of all in the grammar that sonde and the reference share.
func addressesOf(all []truth) []string {
	set := map[netip.Addr]bool{}
	for _, tr := range all {
		set[tr.Addr] = true
	}
	var out []string
	for _, a := range slices.SortedFunc(maps.Keys(set), netip.Addr.Compare) {
		out = append(out, a.String())
	}
	return out
}

func portsOf(all []truth) string {
	var parts []string
	for _, p := range []struct {
		letter    string
		transport probes.Transport
	}{{"T:", probes.TCP}, {"U:", probes.UDP}} {
		set := map[uint16]bool{}
		for _, tr := range all {
			if tr.Transport == p.transport {
				set[tr.Port] = true
			}
		}
		for i, port := range slices.Sorted(maps.Keys(set)) {
			if i > 0 {
				parts = append(parts, fmt.Sprint(port))
			} else {
				parts = append(parts, fmt.Sprint(p.letter, port))
			}
		}
	}
	return strings.Join(parts, ",")
}
