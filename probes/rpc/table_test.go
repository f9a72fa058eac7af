package rpc

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestBuiltinTable(t *testing.T) {
	names := Names()
	if names.Len() < 400 {
		t.Errorf("%d numbers, want 400 at least", names.Len())
	}
	t.Logf("%d numbers", names.Len())
	for number, name := range map[uint32]string{
		100000: "portmapper", 100003: "nfs", 100005: "mountd", 100021: "nlockmgr", 100024: "status",
		100227: "nfs_acl", 300019: "amd", 351360: "sched10d", 351389: "sched39d", 352256: "bofproxyc0",
		352287: "bofproxysf", 391979: "sra_legato_9", 400112: "gss-proxy", 600100069: "fypxfrd", 12345: "",
	} {
		if got := names.Name(number); got != name {
			t.Errorf("%d is %q, want %q", number, got, name)
		}
	}
	for _, name := range []string{"rpcbind", "sunrpc", "portmapper", "pmapprog"} {
		if n, ok := names.Number(name); n != PortMapper || !ok {
			t.Errorf("%s is %d", name, n)
		}
	}
}

func TestTableNumbers(t *testing.T) {
	names := Names()
	list := names.Numbers()
	if len(list) != names.Len() || len(list) > MaxPrograms {
		t.Fatalf("%d numbers of %d, at most %d", len(list), names.Len(), MaxPrograms)
	}
	for i, name := range common {
		if got := names.Name(list[i]); got != name {
			t.Errorf("number %d is %q, want %q: is it in the table?", i, got, name)
		}
	}
	if !slices.IsSorted(list[len(common):]) {
		t.Error("the uncommon ones are not in order")
	}
	if len(common)+1 > batch {
		t.Errorf("%d common programs and the control do not fit in a batch of %d", len(common), batch)
	}
	sorted := slices.Sorted(slices.Values(list))
	if len(slices.Compact(sorted)) != len(list) {
		t.Error("a number stands twice")
	}
}

func TestParseTableErrors(t *testing.T) {
	for _, text := range []string{"x nfs", "100003", "4294967296 big", "1 a\n1 b"} {
		if _, err := ParseTable(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

// TestTableKnowsTheSystems compares with the system's own file, where there is
// one.
func TestTableKnowsTheSystems(t *testing.T) {
	text, err := os.ReadFile("/etc/rpc")
	if err != nil {
		t.Skip("no /etc/rpc here")
	}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		want, err := strconv.ParseUint(f[1], 10, 32)
		if err != nil {
			continue
		}
		if got, ok := Names().Number(f[0]); !ok || uint64(got) != want {
			t.Errorf("%s is %d, here %d", f[0], want, got)
		}
	}
}
