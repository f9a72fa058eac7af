package main

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sonde/config"
)

func mustRange(t *testing.T, s string) config.Range {
	t.Helper()
	r, err := config.ParseRange(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fakeNames resolves what is in it, and nothing else.
type fakeNames map[string][]string

func (f fakeNames) lookup(_ context.Context, name string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, s := range f[name] {
		out = append(out, netip.MustParseAddr(s))
	}
	if out == nil {
		return nil, errors.New("no such host")
	}
	return out, nil
}

var names = fakeNames{
	"one.test":       {"10.0.0.1"},
	"two.test":       {"10.0.0.1", "fd00::1", "::ffff:10.0.0.2"},
	"public.test":    {"192.0.2.1"},
	"multicast.test": {"224.0.0.1"},
}

func TestResolveTargets(t *testing.T) {
	for _, tt := range []struct {
		args string
		opt  targetOptions
		want string // addresses, or the error
		code int    // of the error: exitUsage or exitAct
	}{
		{args: "10.0.0.1", want: "10.0.0.1"},
		{args: "10.0.0.0/30", want: "10.0.0.0/30"},
		{args: "10.0.0.3-5 10.0.0.4", want: "10.0.0.3-10.0.0.5"},
		{args: "fe80::1%eth0", want: "fe80::1%eth0"},
		{args: "one.test", want: "10.0.0.1"},
		{args: "two.test", want: "10.0.0.1-10.0.0.2 fd00::1"},
		{args: "two.test", opt: targetOptions{only4: true}, want: "10.0.0.1-10.0.0.2"},
		{args: "two.test", opt: targetOptions{only6: true}, want: "fd00::1"},
		{args: "10.0.0.0/29", opt: targetOptions{exclude: []string{"10.0.0.0-3, 10.0.0.7", "10.0.0.4"}},
			want: "10.0.0.5-10.0.0.6"},
		{args: "10.0.0.0/30", opt: targetOptions{excluded: config.NewAddrSet(mustRange(t, "10.0.0.0/31"))},
			want: "10.0.0.2/31"},
		{args: "public.test", opt: targetOptions{authorised: true}, want: "192.0.2.1"},
		{args: "10.0.0.0/15", opt: targetOptions{authorised: true}, want: "10.0.0.0/15"},

		{args: "10.0.0.300", want: "no address", code: exitUsage},
		{args: "127.0.0.9-3", want: "swap its ends", code: exitUsage},
		{args: "multicast.test", want: `target "multicast.test": its address "224.0.0.1" reaches into`, code: exitAct},
		{args: "224.0.0.1", opt: targetOptions{authorised: true}, want: "no address of one host", code: exitUsage},
		{args: "0.0.0.0/0", opt: targetOptions{authorised: true}, want: "no address of one host", code: exitUsage},
		{args: "nobody.test", want: `"nobody.test": no such host; write its address`, code: exitAct},
		{args: "public.test", want: "192.0.2.1 is not private", code: exitAct},
		{args: "10.0.0.0/15", want: "--i-am-authorised", code: exitAct},
		{args: "fd00::/64", opt: targetOptions{authorised: true}, want: "cannot be walked", code: exitAct},
		{args: "10.0.0.1", opt: targetOptions{exclude: []string{"x"}}, want: "--exclude: ", code: exitUsage},
		{args: "10.0.0.1", opt: targetOptions{only6: true}, want: "nothing is left of 10.0.0.1", code: exitAct},
	} {
		tt.opt.lookup = names.lookup
		got, err := resolveTargets(t.Context(), strings.Fields(tt.args), tt.opt)
		if tt.code != exitDone {
			var usage usageError
			if err == nil || !strings.Contains(err.Error(), tt.want) || errors.As(err, &usage) != (tt.code == exitUsage) {
				t.Errorf("%s: error %v, want %q with exit code %d", tt.args, err, tt.want, tt.code)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.args, err)
			continue
		}
		var text []string
		for _, r := range got.addrs.Ranges() {
			text = append(text, r.String())
		}
		if s := strings.Join(text, " "); s != tt.want {
			t.Errorf("%s: %s, want %s", tt.args, s, tt.want)
		}
	}
}

func TestTargetsKeepTheirNames(t *testing.T) {
	got, err := resolveTargets(t.Context(), []string{"one.test", "two.test", "10.0.0.2", "two.test"},
		targetOptions{lookup: names.lookup})
	if err != nil {
		t.Fatal(err)
	}
	want := map[netip.Addr][]string{
		netip.MustParseAddr("10.0.0.1"): {"one.test", "two.test"},
		netip.MustParseAddr("10.0.0.2"): {"two.test"},
		netip.MustParseAddr("fd00::1"):  {"two.test"},
	}
	if diff := cmp.Diff(want, got.names, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestIsHostName makes sure that no mistyped address is sent to a name server.
func TestIsHostName(t *testing.T) {
	yes := []string{"localhost", "a", "www.example.org", "www.example.org.", "x_1.example", "3com", "xn--bcher-kva.example"}
	no := []string{"", ".", "10.0.0.300", "10.0.0", "10", "10.0.0.1-300", "1.2.3.4.", "::g", "[::1]", "10.0.0.1/33",
		"a b", "a/b", "bücher.example", "host:22", strings.Repeat("a", 254)}
	for _, s := range slices.Concat(yes, no) {
		if got, want := isHostName(s), slices.Contains(yes, s); got != want {
			t.Errorf("isHostName(%q) = %v", s, got)
		}
	}
}

func TestShortList(t *testing.T) {
	for args, want := range map[string]string{
		"a":             "a",
		"a b c d e":     "a b c d e",
		"a b c d e f g": "a b c d e and 2 more",
	} {
		if got := shortList(strings.Fields(args)); got != want {
			t.Errorf("shortList(%q) = %q, want %q", args, got, want)
		}
	}
}
