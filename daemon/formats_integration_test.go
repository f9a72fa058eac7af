//go:build integration && linux

package main

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// dtd is what nmap's own XML is held to, from Debian's nmap-common.
const dtd = "/usr/share/nmap/nmap.dtd"

// readXML reads a file as a third party does.
const readXML = `
import sys
from libnmap.parser import NmapParser
for h in NmapParser.parse_fromfile(sys.argv[1]).hosts:
    for s in h.services:
        print(h.address, s.port, s.protocol, s.state, s.service, s.service_dict.get("product", ""), s.service_dict.get("version", ""))
`

// TestXMLConsumers: what reads nmap's XML reads ours: a validating parser, ndiff
// and python3-libnmap.
func TestXMLConsumers(t *testing.T) {
	sonde := buildSonde(t)
	for _, need := range []string{"nmap", "ndiff", "xmllint", "/usr/bin/python3", dtd} {
		if _, err := os.Stat(need); err != nil {
			if _, err := exec.LookPath(need); err != nil {
				t.Skipf("skipped: %s is not installed", need)
			}
		}
	}
	const ports = "22100,22101,22102"
	const at = "127.83.77.1"
	newGreeter(t, netip.MustParseAddrPort(at+":22100")).say("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n")
	newGreeter(t, netip.MustParseAddrPort(at+":22101")).say("no signature explains <this> & \"that\"\r\n")
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), name, args...).Output()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	for _, name := range []string{"a.xml", "b.xml"} {
		text := run(sonde, "scan", at, "-p", ports, "-o", "xml")
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		run("xmllint", "--noout", "--dtdvalid", dtd, file(name))
	}
	run("nmap", "-n", "-Pn", "-sT", "-sV", "-p", ports, "-oX", file("nmap.xml"), at)

	want := at + " 22100 tcp open ssh OpenSSH 9.2p1\n" + at + " 22101 tcp open unknown  \n"
	if got := run("/usr/bin/python3", "-c", readXML, file("a.xml")); got != want {
		t.Errorf("python3-libnmap reads\n%s\nwant\n%s", got, want)
	}
	// ndiff exits with 0 where the files have the same hosts and ports.
	run("ndiff", file("a.xml"), file("b.xml"))
	var diff bytes.Buffer
	both := exec.CommandContext(t.Context(), "ndiff", file("nmap.xml"), file("a.xml"))
	both.Stdout = &diff
	err := both.Run()
	if code := both.ProcessState.ExitCode(); code != 0 && code != 1 {
		t.Errorf("ndiff of nmap's file and ours: %v", err)
	}
	for line := range strings.Lines(diff.String()) {
		if strings.HasPrefix(line, "-22100/tcp") && !strings.Contains(line, "ssh") {
			t.Errorf("ndiff: %s", line)
		}
	}
}
