//go:build (integration || lab) && linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sonde/probes"
)

// buildSonde builds the program that is tested.
func buildSonde(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root (CAP_SYS_ADMIN) for network namespaces")
	}
	path := filepath.Join(t.TempDir(), "sonde")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	return path
}

// scanned runs a scan and gives what it found, by "address port transport".
func scanned(t *testing.T, c *exec.Cmd) map[string]probes.Observation {
	t.Helper()
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %v: %s", c.Args, err, stderr.String())
	}
	found := map[string]probes.Observation{}
	for line := range bytes.Lines(out) {
		var o probes.Observation
		if err := json.Unmarshal(line, &o); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		found[fmt.Sprint(o.Addr, " ", o.Port, " ", o.Transport)] = o
	}
	return found
}

// TestScanAsksSunRPC: the list of a real rpcbind, and a real rpc.statd behind a
// port that only looks like SunRPC.
func TestScanAsksSunRPC(t *testing.T) {
	sonde := buildSonde(t)
	for _, name := range []string{"rpcbind", "rpc.statd"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs %s", name)
		}
	}
	c := exec.Command("sh", "-ec", `
		mount -t tmpfs tmpfs /run && mkdir /run/rpcbind /run/sendsigs.omit.d
		mount -t tmpfs tmpfs /var/lib/nfs && mkdir /var/lib/nfs/sm /var/lib/nfs/sm.bak
		ip link set lo up
		rpcbind -w >&2
		rpc.statd --no-notify --port 32771 >&2
		exec "$0" scan 127.0.0.1 -o json -p T:111,T:32771,U:111,U:32771`, sonde)
	c.SysProcAttr = &syscall.SysProcAttr{
		Unshareflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		Cloneflags:   unix.CLONE_NEWPID, // so that all of it ends with the scan
		Pdeathsig:    syscall.SIGKILL,
	}
	found := scanned(t, c)
	for at, want := range map[string]string{
		"127.0.0.1 111 tcp":   "rpcbind  versions 2-4 [{100000 portmapper 2 4} {100024 status 1 1}]",
		"127.0.0.1 111 udp":   "rpcbind  versions 2-4 [{100000 portmapper 2 4} {100024 status 1 1}]",
		"127.0.0.1 32771 tcp": "status 1 RPC #100024 [{100024 status 1 1}]",
		"127.0.0.1 32771 udp": "status 1 RPC #100024 [{100024 status 1 1}]",
	} {
		o := found[at]
		if got := fmt.Sprint(o.Service, " ", o.Version, " ", o.Info, " ", o.RPC); got != want || o.Strength != probes.Hard {
			t.Errorf("%s: %s %s, want %s; %s", at, got, o.Strength, want, o.Outcome)
			continue
		}
		t.Logf("%s: identity %+v, extra %+v", at, o.Cost, *o.Cost.Extra)
	}
}
