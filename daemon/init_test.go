package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sonde/config"
)

// TestFirstConfig proposes networks of several kinds: as written nothing but
// loopback is watched, and without the "#" of the watches all that are proposed.
func TestFirstConfig(t *testing.T) {
	var nets []subnet
	for _, n := range []struct{ iface, own string }{
		{"eth0", "192.168.7.5/24"}, {"eth0", "192.168.7.6/24"}, // two addresses, one network
		{"eth0", "10.1.2.3/22"}, {"br_lan", "172.16.0.1/16"},
		{"wan0", "8.8.8.1/29"}, // public: only with a word of the operator
	} {
		nets = append(nets, subnet{n.iface, netip.MustParsePrefix(n.own)})
	}
	text, err := firstConfig(nets)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse([]config.Source{{Name: "as written", Data: text}}, nil)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if len(cfg.Watches) != 1 || cfg.Watches[0].Name != "loopback" {
		t.Errorf("as written it watches %d networks, the first %s", len(cfg.Watches), cfg.Watches[0].Name)
	}
	taken := regexp.MustCompile(`(?m)^#(\S)`).ReplaceAll(text, []byte("$1"))
	if cfg, err = config.Parse([]config.Source{{Name: "all taken", Data: taken}}, nil); err != nil {
		// Each alone holds its promises; all together may be too much.
		if !strings.Contains(err.Error(), "discover_every") {
			t.Fatalf("%v in\n%s", err, taken)
		}
	} else if len(cfg.Watches) != 3 {
		t.Errorf("%d watches, want 3", len(cfg.Watches))
	}
	for _, want := range []string{`#name = "eth0"`, `#name = "eth0-2"`, `#name = "br-lan"`,
		`#targets = ["10.1.0.0/22"]`, "# Cost: 256 addresses, ", "# Not proposed: "} {
		if !strings.Contains(string(text), want) {
			t.Errorf("lacks %s in\n%s", want, text)
		}
	}
	if n := strings.Count(string(text), "192.168.7.0/24 on"); n != 1 {
		t.Errorf("the network of two addresses is proposed %d times", n)
	}
}

func TestInitOverwritesNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "watches.toml")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := writeFirst(newInitCommand(), file, []byte("theirs"))
	if got, _ := os.ReadFile(file); err == nil || string(got) != "mine" {
		t.Errorf("%v, and the file is %q", err, got)
	}
}

func TestAttached(t *testing.T) {
	nets, err := attached()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nets {
		if n.own.Addr().IsLoopback() || n.own.Addr().IsLinkLocalUnicast() || n.iface == "" {
			t.Errorf("%s on %q is listed", n.own, n.iface)
		}
	}
}
