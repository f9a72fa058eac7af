//go:build faultpoints

package fault

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if os.Getenv(Variable) == "" {
		os.Exit(m.Run())
	}
	for i := 1; ; i++ {
		fmt.Println(i)
		Point("json.write.after")
		Point("store.pass.after")
		if Armed("json.write.short") {
			fmt.Println("half")
			Point("json.write.short")
		}
	}
}

func TestPointKillsAtTheNthPass(t *testing.T) {
	for point, want := range map[string]string{
		"store.pass.after:3": "1\n2\n3\n",
		"json.write.after":   "1\n",
		"json.write.short:2": "1\n2\nhalf\n",
	} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), Variable+"="+point)
		out, err := cmd.Output()
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.ExitCode() != -1 {
			t.Fatalf("%s: ended with %v, want a signal", point, err)
		}
		if string(out) != want {
			t.Errorf("%s: got %q, want %q", point, out, want)
		}
	}
}

// TestPointHangs has the only goroutine hang, which Go's runtime notices.
func TestPointHangs(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), Variable+"=store.pass.after:2:hang")
	out, err := cmd.Output()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || !strings.Contains(string(exit.Stderr), "all goroutines are asleep") {
		t.Fatalf("ended with %v", err)
	}
	if want := "1\n2\n"; string(out) != want {
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
