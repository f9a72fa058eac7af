//go:build lab && linux

package rpc

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sonde/probes"
)

// TestLab asks the NFS server of the lab of real servers, and grinds every port
// that it lists.
func TestLab(t *testing.T) {
	const ns = "/run/netns/lab"
	text, err := os.ReadFile(filepath.Join(cmp.Or(os.Getenv("LAB_STATE"), "/var/tmp/sonde-lab"), "truth.json"))
	if err != nil {
		t.Skipf("no lab of real servers is up: %v", err)
	}
	var endpoints []struct{ Box, Addr, Service string }
	if err := json.Unmarshal(text, &endpoints); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, e := range endpoints {
		if e.Service != "rpcbind" {
			continue
		}
		asked++
		l := NewLister(Settings{Transport: probes.TCP})
		drive(t, ns, probes.TCP, net.JoinHostPort(e.Addr, "111"), l)
		list := l.Result()
		t.Logf("%s: %q, %+v", e.Box, list.Reason, list.Facts())
		for _, p := range list.Programs {
			g := NewGrind(Names().Numbers(), Settings{Transport: p.Transport, XID: 9})
			calls := drive(t, ns, p.Transport, net.JoinHostPort(e.Addr, fmt.Sprint(p.Port)), g)
			res := g.Result()
			i := slices.IndexFunc(res.Found, func(f probes.RPCFacts) bool { return f.Program == p.Program })
			if i < 0 || !res.Confirmed {
				t.Errorf("%s: %+v is not found there: %+v", e.Box, p, res)
			}
			t.Logf("%s %s port %d: %s %d-%d; %d calls: %+v", e.Box, p.Transport, p.Port, p.Name, p.Low, p.High, calls, res.Found)
		}
	}
	if asked == 0 {
		t.Skip("the lab has no port mapper")
	}
}
