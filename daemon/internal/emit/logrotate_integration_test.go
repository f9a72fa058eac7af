//go:build integration && linux

package emit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// TestLogrotate: the rotation of the system beside our own loses nothing and
// doubles nothing, whether it moves the file or copies and cuts it.
func TestLogrotate(t *testing.T) {
	program := need(t, "logrotate", "logrotate", "/usr/sbin/logrotate")
	for _, how := range []string{"copytruncate", "create", "nocreate"} {
		t.Run(how, func(t *testing.T) {
			dir, apart := t.TempDir(), t.TempDir()
			if err := os.Chmod(dir, 0o755); err != nil { // it refuses what others may write
				t.Fatal(err)
			}
			s, _ := newJSON(t, dir, 8<<10, 0) // our own rotation comes between
			conf := filepath.Join(apart, "logrotate.conf")
			text := fmt.Sprintf("%s/events.json {\n  rotate 9\n  %s\n}\n", dir, how)
			if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var want []int64
			for seq := int64(1); seq <= 12; seq += 3 {
				deliver(t, s, seq, seq+2)
				want = append(want, seq, seq+1, seq+2)
				out, err := exec.Command(program, "--force", "--state", filepath.Join(apart, "state"), conf).CombinedOutput()
				if err != nil {
					t.Fatalf("logrotate: %v\n%s", err, out)
				}
			}
			got, torn := seqs(t, dir)
			slices.Sort(got)
			if !slices.Equal(got, want) || torn != 0 {
				t.Errorf("files have %v, %d torn, want each of %v once", got, torn, want)
			}
		})
	}
}
