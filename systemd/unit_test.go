//go:build linux

package systemd

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write sonde@.service anew from sonde.service")

// TestTemplate holds the unit of several instances equal to that of the one
// daemon, but for the directories and the configuration, which each has below
// those of the first.
func TestTemplate(t *testing.T) {
	unit, err := os.ReadFile("sonde.service")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer(
		"network services\nDoc", "network services (%i)\nDoc",
		"/etc/sonde/sonde.toml", "/etc/sonde/%i/sonde.toml",
		"Directory=sonde\n", "Directory=sonde/%i\n",
		"security sonde`", "security sonde@NAME`",
		"# The sockets of sonde@.service are below it, too.\n", "",
	).Replace(string(unit))
	if *update {
		if err := os.WriteFile("sonde@.service", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("sonde@.service")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("go test ./systemd -run Template -update writes it anew (-want +got):\n%s", diff)
	}
	if n := strings.Count(want, "%i"); n != 7 {
		t.Errorf("%d places name the instance, want 7:\n%s", n, want)
	}
}
