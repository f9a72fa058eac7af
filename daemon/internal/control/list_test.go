//go:build unix

package control

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sonde/daemon/internal/inventory"
	"sonde/probes"
)

func TestListAndEvents(t *testing.T) {
	b := newBench(t)
	b.gen.Database = builtin(t)
	b.visited(t, "192.0.2.1", "default")
	b.visited(t, "192.0.2.2", "dmz")
	var page Services
	if err := b.reader().Get(t.Context(), "/v1/inventory", ListQuery(&inventory.Filter{Addr: netip.MustParseAddr("192.0.2.2"),
		CPE: "cpe:/a:openbsd:openssh", Status: inventory.There()}, 0), &page); err != nil {
		t.Fatal(err)
	}
	if len(page.Services) != 1 || page.Next != 0 || page.Services[0].Zone != "dmz" || page.Services[0].Product != "OpenSSH" ||
		page.Services[0].Evidence == nil || page.Services[0].Fingerprint != "" {
		t.Errorf("%+v", page)
	}
	var told Told
	if err := b.reader().Get(t.Context(), "/v1/events", url.Values{"after": {"0"}}, &told); err != nil {
		t.Fatal(err)
	}
	if len(told.Events) != 2 || told.Next != 2 || !strings.Contains(string(told.Events[1]), `"action":"service.baseline"`) {
		t.Errorf("%s", told.Events)
	}
	if err := b.reader().Get(t.Context(), "/v1/events", url.Values{"after": {"2"}}, &told); err != nil || len(told.Events) != 0 || told.Next != 2 {
		t.Errorf("after the last: %s, %v", told.Events, err)
	}
	for path, words := range map[string]string{"/v1/events?after=x": "no number", "/v1/inventory?port=70000000": "no number",
		"/v1/inventory?prot=1": `"prot" is not known`, "/v1/inventory?addr=box": "ParseAddr"} {
		p, q, _ := strings.Cut(path, "?")
		values, err := url.ParseQuery(q)
		if err != nil {
			t.Fatal(err)
		}
		refusedWith(t, b.reader().Get(t.Context(), p, values, &told), 400, words)
	}
}

// FuzzFilter: what is read is written and read again as the same.
func FuzzFilter(f *testing.F) {
	f.Add(ListQuery(&inventory.Filter{Watch: "w", Service: "ssh", Product: "a b", CPE: "cpe:/a", Port: 22, Transport: probes.TCP,
		Addr: netip.MustParseAddr("::1"), FirstSeenFrom: time.Unix(5, 0), UnseenSince: time.Unix(6, 0), Brief: true}, 7).Encode())
	f.Add("port=65536")
	f.Add("after=-1&first_seen_from=99999999999999")
	f.Add("gone=1&addr=fe80::1%25eth0")
	f.Fuzz(func(t *testing.T, s string) {
		q, err := url.ParseQuery(s)
		if err != nil {
			return
		}
		filter, after, err := filterOf(q)
		if err != nil {
			return
		}
		again, then, err := filterOf(ListQuery(&filter, after))
		if d := cmp.Diff(filter, again, cmpopts.EquateComparable(netip.Addr{})); err != nil || d != "" || after != then {
			t.Errorf("%q: %v %s", s, err, d)
		}
	})
}
