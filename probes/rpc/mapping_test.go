package rpc

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var sameAddr = cmpopts.EquateComparable(netip.AddrPort{})

// opaqueXDR writes variable-length data.
func opaqueXDR(s string) []byte {
	b := append(words(uint32(len(s))), s...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// rpcbEntry writes one entry of an rpcbind list.
func rpcbEntry(program, version uint32, network, addr, owner string) []byte {
	b := words(1, program, version)
	for _, s := range []string{network, addr, owner} {
		b = append(b, opaqueXDR(s)...)
	}
	return b
}

func TestParsePortmap(t *testing.T) {
	results := words(1, 100000, 2, 6, 111, 1, 100003, 3, 17, 2049, 1, 7, 1, 132, 9, 0)
	want := []Mapping{
		{Program: 100000, Version: 2, Network: "tcp", Addr: netip.AddrPortFrom(netip.Addr{}, 111)},
		{Program: 100003, Version: 3, Network: "udp", Addr: netip.AddrPortFrom(netip.Addr{}, 2049)},
		{Program: 7, Version: 1, Network: "132", Addr: netip.AddrPortFrom(netip.Addr{}, 9)},
	}
	got, err := ParsePortmap(results)
	if diff := cmp.Diff(want, got, sameAddr); diff != "" || err != nil {
		t.Errorf("error %v; (-want +got)\n%s", err, diff)
	}
	for cut := range len(results) {
		got, err := ParsePortmap(results[:cut])
		if !errors.Is(err, ErrShort) || len(got) != min(cut/20, 3) {
			t.Errorf("cut at %d: %d mappings, error %v", cut, len(got), err)
		}
	}
	if got, err := ParsePortmap(words(1, 7, 1, 6, 65536, 0)); err == nil || len(got) != 0 {
		t.Errorf("port 65536: %v, %v", got, err)
	}
	if _, err := ParsePortmap(words(2)); err == nil {
		t.Error("a boolean of 2 was accepted")
	}
}

func TestParseRpcbind(t *testing.T) {
	results := rpcbEntry(100003, 4, "tcp", "0.0.0.0.8.1", "superuser")
	results = append(results, rpcbEntry(100003, 4, "tcp6", "::.8.1", "superuser")...)
	results = append(results, rpcbEntry(100000, 4, "local", "/run/rpcbind.sock", "a\x1b[2Jb")...)
	results = append(results, words(0)...)
	want := []Mapping{
		{Program: 100003, Version: 4, Network: "tcp", Addr: netip.MustParseAddrPort("0.0.0.0:2049"), Owner: "superuser"},
		{Program: 100003, Version: 4, Network: "tcp6", Addr: netip.MustParseAddrPort("[::]:2049"), Owner: "superuser"},
		{Program: 100000, Version: 4, Network: "local", Path: "/run/rpcbind.sock", Owner: "a?[2Jb"},
	}
	got, err := ParseRpcbind(results)
	if diff := cmp.Diff(want, got, sameAddr); diff != "" || err != nil {
		t.Errorf("error %v; (-want +got)\n%s", err, diff)
	}
	long := rpcbEntry(1, 1, strings.Repeat("n", MaxString+1), "", "")
	if _, err := ParseRpcbind(long); err == nil {
		t.Error("a network id over the limit was accepted")
	}
}

func TestListsEnd(t *testing.T) {
	var results []byte
	for range MaxMappings + 1 {
		results = append(results, words(1, 100000, 2, 6, 111)...)
	}
	got, err := ParsePortmap(append(results, words(0)...))
	if len(got) != MaxMappings || !errors.Is(err, ErrTooManyMappings) {
		t.Errorf("%d mappings, error %v", len(got), err)
	}
}

func TestParseUniversal(t *testing.T) {
	for s, want := range map[string]string{
		"192.0.2.1.8.1":         "192.0.2.1:2049",
		"0.0.0.0.0.111":         "0.0.0.0:111",
		"::.0.111":              "[::]:111",
		"2001:db8::1.255.255":   "[2001:db8::1]:65535",
		"::ffff:192.0.2.1.8.1":  "[::ffff:192.0.2.1]:2049",
		"fe80::1%eth0.8.1":      "[fe80::1%eth0]:2049",
		"":                      "",
		"1.2":                   "",
		"192.0.2.1":             "", // would be host "192.0", port 2.1
		"192.0.2.1.256.1":       "",
		"192.0.2.1.1.-1":        "",
		"192.0.2.1.1.":          "",
		"host.example.8.1":      "",
		"/run/rpcbind.sock":     "",
		"192.0.2.1.8.1.":        "",
		"192.0.2.1.8.1\x00":     "",
		"999999999999999999.1.": "",
	} {
		got, err := ParseUniversal(s)
		switch {
		case want == "" && err == nil:
			t.Errorf("%q: %v, want an error", s, got)
		case want != "" && (err != nil || got != netip.MustParseAddrPort(want)):
			t.Errorf("%q: %v, %v; want %s", s, got, err, want)
		}
	}
}

func FuzzParseUniversal(f *testing.F) {
	for _, s := range []string{"192.0.2.1.8.1", "::.0.111", "fe80::1%eth0.8.1", "1.2", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseUniversal(s)
		if err != nil {
			return
		}
		again, err := ParseUniversal(universal(a))
		if err != nil || again != a {
			t.Errorf("%q: %v became %v, %v", s, a, again, err)
		}
	})
}
