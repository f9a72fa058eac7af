//go:build integration && linux

package onwire

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sonde/capture/capturetest"
	"sonde/daemon/internal/event"
	"sonde/probes"
)

// hostKey makes a host key, and gives its file and what ssh-keygen shows of it.
func hostKey(t *testing.T) (file string, shown probes.SSHHostKey) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command("ssh-keygen", "-lf", file+".pub").Output()
	words := strings.Fields(string(out))
	if err != nil || len(words) < 2 || !strings.HasPrefix(words[1], "SHA256:") {
		t.Fatalf("%v: %s", err, out)
	}
	return file, probes.SSHHostKey{Type: "ssh-ed25519", SHA256: strings.TrimPrefix(words[1], "SHA256:")}
}

// sshd runs a real server until it is stopped or the test ends.
func sshd(t *testing.T, ns *capturetest.Namespace, addr, key string) (stop func()) {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "conf")
	text := "ListenAddress " + addr + "\nHostKey " + key + "\nPidFile none\nUsePAM no\nUseDNS no\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	c := ns.Command(t.Context(), "/usr/sbin/sshd", "-D", "-e", "-f", conf)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = c.Process.Signal(syscall.SIGTERM)
			_ = c.Wait()
		}
	}
	t.Cleanup(stop)
	return stop
}

// TestMachineMovesBehindARouter: no MAC address is to be seen there, so a real
// sshd is known again by its host key, and what went with it by that.
func TestMachineMovesBehindARouter(t *testing.T) {
	if _, err := os.Stat("/usr/sbin/sshd"); err != nil {
		t.Skip("openssh-server is not installed")
	}
	p := ground(t)
	key, shown := hostKey(t)
	leave := sshd(t, p.Target, "198.18.0.11", key)
	stop := serve(t, p.Target, "198.18.0.11:80", ssh)
	// It takes longer than the test to believe that a single service is gone.
	d := start(t, p.Sensor, strings.Replace(often, `closed_after = "2s"`, `closed_after = "1m"`, 1)+"'connect'\n")
	d.until(t, "baseline", func() bool { return len(d.only(t, event.ServiceBaseline)) == len(open)+2 })
	d.awaitLog(t, "sweep complete")
	first := d.await(t, "sshd", func(e *event.Event) bool { return endpointOf(e).String() == "198.18.0.11:22" })
	if k := first.Endpoint.SSHHostKey; k == nil || *k != shown {
		t.Errorf("host key %+v, ssh-keygen shows %+v", k, shown)
	}

	leave()
	stop()
	sshd(t, p.Target, "198.18.0.12", key)
	serve(t, p.Target, "198.18.0.12:80", ssh)
	moved := d.await(t, "move", func(e *event.Event) bool { return e.Action == event.HostMoved })
	about := fmt.Sprint(moved.Previous.Addr, " to ", moved.Endpoint.Addr, ", ", moved.Reason, ", ", moved.ServicesCount)
	if about != "198.18.0.11 to 198.18.0.12, ssh_host_key, 2" {
		t.Errorf("moved: %s", about)
	}
	sweeps := strings.Count(d.log.String(), "sweep complete")
	d.until(t, "two more sweeps", func() bool { return strings.Count(d.log.String(), "sweep complete") >= sweeps+2 })
	var told []string
	for _, e := range d.events(t) {
		of, _, _ := strings.Cut(string(e.Action), ".")
		if (of == "service" || of == "host") && e.Action != event.ServiceBaseline {
			told = append(told, e.Message)
		}
	}
	if !slices.Equal(told, []string{moved.Message}) {
		t.Errorf("told %q", told)
	}
}
