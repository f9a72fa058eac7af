//go:build faultpoints

package fault

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

func TestMain(m *testing.M) {
	if os.Getenv(Variable) == "" {
		os.Exit(m.Run())
	}
	for i := 1; ; i++ {
		fmt.Println(i, Armed("json.write.after"), Armed("store.pass.after"))
		Point("json.write.after")
		Point("store.pass.after")
	}
}

func TestPointKillsAtTheNthPass(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), Variable+"=store.pass.after:3")
	out, err := cmd.Output()
	exit, ok := err.(*exec.ExitError)
	if !ok || exit.ExitCode() != -1 {
		t.Fatalf("ended with %v, want a signal", err)
	}
	if want := "1 false false\n2 false false\n3 false true\n"; string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestParse(t *testing.T) {
	if name, n := parse("json.write.short:7"); name != "json.write.short" || n != 7 {
		t.Errorf("got %s, %d", name, n)
	}
	for _, bad := range []string{"nowhere", "json.write.short:0", "json.write.short:x"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s was taken", bad)
				}
			}()
			parse(bad)
		}()
	}
}
