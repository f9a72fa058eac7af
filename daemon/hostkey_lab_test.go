//go:build lab && linux

package main

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

// TestScanReadsHostKeys: of real servers the scan shows what ssh-keyscan and
// ssh-keygen show.
func TestScanReadsHostKeys(t *testing.T) {
	if exec.Command("ip", "netns", "exec", "lab", "true").Run() != nil {
		t.Skip("no lab of real servers is up")
	}
	sonde := buildSonde(t)
	for box, addr := range map[string]string{"openssh": "198.18.1.1", "tinyssh": "198.18.1.2"} {
		keys, err := exec.Command("ip", "netns", "exec", "lab", "ssh-keyscan", "-t", "ed25519", addr).Output()
		if err != nil || len(keys) == 0 {
			t.Skipf("%s is not up: %v", box, err)
		}
		list := exec.Command("ssh-keygen", "-lf", "-")
		list.Stdin = bytes.NewReader(keys)
		shown, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		o := scanned(t, exec.Command("ip", "netns", "exec", "lab", sonde, "scan", addr, "-p", "22", "-o", "json"))[addr+" 22 tcp"]
		if k := o.SSHHostKey; k == nil || k.Type != "ssh-ed25519" || !strings.Contains(string(shown), "SHA256:"+k.SHA256+" ") {
			t.Errorf("%s: %+v, ssh-keygen shows %s", box, k, shown)
		}
		if c := o.Cost; c.Connections != 1 || c.Extra == nil || c.Extra.Connections != 1 {
			t.Errorf("%s: cost %+v", box, c)
		}
	}
}
