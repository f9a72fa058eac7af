package inventory

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"sonde/daemon/internal/event"
	"sonde/match"
	"sonde/probes"
)

// servedBy stores a service on a port of 192.0.2.1, as seen now.
func servedBy(t *testing.T, s *Store, c *testClock, port uint16, product, cpe string) {
	t.Helper()
	a := netip.MustParseAddr("192.0.2.1")
	o := probes.Observation{Addr: a, Port: port, Transport: probes.TCP, State: probes.Open,
		Identity: match.Identity{Service: "http", Product: product, CPE: []string{cpe}},
		Strength: probes.Hard, Outcome: probes.OutcomeAnswered, At: c.now()}
	k := event.Key{Zone: "default", Addr: a, Transport: probes.TCP, Port: port}
	if _, err := s.Apply(t.Context(), []Visit{{Key: k, Watch: "w", Method: "connect", Observation: o, At: c.now(), Found: true}}); err != nil {
		t.Fatal(err)
	}
}

// portsOf gives the ports that a filter chooses, by pages and at once.
func portsOf(t *testing.T, s *Store, f Filter, most int) []int {
	t.Helper()
	var paged, whole []int
	for next := int64(0); ; {
		list, then, err := s.Page(t.Context(), f, next, most)
		if err != nil {
			t.Fatal(err)
		}
		for i := range list {
			paged = append(paged, int(list[i].Key.Port))
		}
		if len(list) > most {
			t.Fatalf("a page of %d", len(list))
		}
		if next = then; next == 0 {
			break
		}
	}
	for _, e := range endpoints(t, s.Reader, f) {
		whole = append(whole, int(e.Key.Port))
	}
	if !slices.Equal(paged, whole) {
		t.Errorf("%+v: by pages %v, at once %v", f, paged, whole)
	}
	return paged
}

func TestFiltersAndPages(t *testing.T) {
	c := newClock()
	s := openStore(t, t.TempDir(), c)
	begun := c.now()
	for port := range uint16(5) {
		servedBy(t, s, c, 80+port, "nginx", fmt.Sprintf("cpe:/a:igor_sysoev:nginx:1.%d", port))
		c.add(time.Hour)
	}
	servedBy(t, s, c, 90, "Apache httpd", "cpe:/a:apache:http_server")
	for _, v := range []struct {
		about string
		f     Filter
		want  []int
	}{
		{"all", Filter{}, []int{80, 81, 82, 83, 84, 90}},
		{"a product", Filter{Product: "nginx"}, []int{80, 81, 82, 83, 84}},
		{"a port", Filter{Port: 83}, []int{83}},
		{"a transport", Filter{Transport: probes.UDP}, nil},
		{"an address", Filter{Addr: netip.MustParseAddr("192.0.2.2")}, nil},
		{"a CPE", Filter{CPE: "cpe:/a:igor_sysoev:nginx:1.2"}, []int{82}},
		{"the beginning of one", Filter{CPE: "cpe:/a:igor_sysoev"}, []int{80, 81, 82, 83, 84}},
		{"not in the middle of a part", Filter{CPE: "cpe:/a:igor"}, nil},
		{"new", Filter{FirstSeenFrom: begun.Add(3 * time.Hour)}, []int{83, 84, 90}},
		{"old", Filter{UnseenSince: begun.Add(2 * time.Hour)}, []int{80, 81}},
		{"both", Filter{CPE: "cpe:/a:apache", Port: 90, FirstSeenFrom: begun}, []int{90}},
	} {
		for _, most := range []int{1, 2, 100} {
			if got := portsOf(t, s, v.f, most); !slices.Equal(got, v.want) {
				t.Errorf("%s by %d: %v, want %v", v.about, most, got, v.want)
			}
		}
	}
}
