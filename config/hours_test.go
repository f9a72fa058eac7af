package config

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func hoursOf(t *testing.T, zone string, spans ...string) Hours {
	t.Helper()
	h := Hours{Zone: zone}
	for _, s := range spans {
		span, err := parseSpan(s)
		if err != nil {
			t.Fatal(err)
		}
		h.Spans = append(h.Spans, span)
	}
	return h
}

func TestHours(t *testing.T) {
	for _, tt := range []struct {
		zone  string
		spans []string
		at    string // UTC
		in    bool
		until string // UTC
	}{
		// 2026-03-02 is a Monday.
		{"UTC", []string{"Mon-Fri 19:00-07:00"}, "2026-03-02 18:59", false, "2026-03-02 19:00"},
		{"UTC", []string{"Mon-Fri 19:00-07:00"}, "2026-03-02 19:00", true, "2026-03-03 07:00"},
		{"UTC", []string{"Mon-Fri 19:00-07:00"}, "2026-03-03 06:59", true, "2026-03-03 07:00"},
		{"UTC", []string{"Mon-Fri 19:00-07:00"}, "2026-03-03 07:00", false, "2026-03-03 19:00"},
		{"UTC", []string{"Mon-Fri 19:00-07:00"}, "2026-03-07 03:00", true, "2026-03-07 07:00"}, // Friday's night
		{"UTC", []string{"Mon-Fri 19:00-07:00"}, "2026-03-07 07:00", false, "2026-03-09 19:00"},
		{"UTC", []string{"Mon-Fri 19:00-07:00", "Sat,Sun 00:00-24:00"}, "2026-03-06 20:00", true, "2026-03-09 00:00"},
		{"UTC", []string{"fri-mon 10:00-11:00"}, "2026-03-03 00:00", false, "2026-03-06 10:00"},
		{"UTC", []string{"daily 00:00-24:00"}, "2026-03-03 12:00", true, "2026-03-12 00:00"},
		{"UTC", nil, "2026-03-03 12:00", false, "2026-03-11 12:00"},
		// Europe/Berlin is one hour ahead, and two from 2026-03-29 01:00 UTC
		// to 2026-10-25 01:00 UTC.
		{"Europe/Berlin", []string{"daily 22:00-06:00"}, "2026-03-28 20:59", false, "2026-03-28 21:00"},
		{"Europe/Berlin", []string{"daily 22:00-06:00"}, "2026-03-28 23:00", true, "2026-03-29 04:00"}, // 7 hours
		{"Europe/Berlin", []string{"daily 22:00-06:00"}, "2026-10-24 21:00", true, "2026-10-25 05:00"}, // 9 hours
		{"Europe/Berlin", []string{"Sun 02:30-03:30"}, "2026-03-29 01:00", false, "2026-03-29 01:30"},  // 02:30 is left out
		{"UTC", []string{"2026-12-24 18:00 to 2026-12-26 08:00"}, "2026-12-25 12:00", true, "2026-12-26 08:00"},
		{"UTC", []string{"2026-12-24 18:00 to 2026-12-26 08:00"}, "2026-12-24 17:00", false, "2026-12-24 18:00"},
		{"UTC", []string{"2026-12-24 18:00 to 2026-12-26 08:00"}, "2027-12-25 12:00", false, "2028-01-02 12:00"},
	} {
		parse := func(s string) time.Time {
			at, err := time.Parse("2006-01-02 15:04", s)
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
		in, until := hoursOf(t, tt.zone, tt.spans...).At(parse(tt.at))
		if in != tt.in || !until.Equal(parse(tt.until)) {
			t.Errorf("%v in %s at %s: %v until %v, want %v until %s",
				tt.spans, tt.zone, tt.at, in, until.UTC(), tt.in, tt.until)
		}
	}
}

// TestHoursAgainstMinutes compares At with itself, minute by minute over the
// weeks in which the clock changes: nothing changes before it was told to.
func TestHoursAgainstMinutes(t *testing.T) {
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"} {
		h := hoursOf(t, zone, "Mon-Fri 19:00-07:00", "Sat 01:30-02:30", "Sun 02:00-02:10", "Wed 00:00-24:00")
		for _, from := range []time.Time{time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC)} {
			in, until := h.At(from)
			for m := range 10 * 24 * 60 {
				at := from.Add(time.Duration(m) * time.Minute)
				now, next := h.At(at)
				if now != in && at.Before(until) || !next.After(at) {
					t.Fatalf("%s at %v: %v, said to be %v until %v; next %v", zone, at, now, in, until, next)
				}
				in, until = now, next
			}
		}
	}
}

func TestHoursRefused(t *testing.T) {
	for _, s := range []string{"", "Mon", "Mon 7:00-08:00", "Mon 07:00", "Mon 07:00-07:00", "Mon 07:60-08:00",
		"Mon 24:00-01:00", "Mon 07:00-00:00", "Mon 07:00-25:00", "Moo 07:00-08:00", "Mon- 07:00-08:00",
		"Mon,, 07:00-08:00", "daily,Mon 07:00-08:00", "2026-12-24 to 2026-12-25", "2026-02-30 10:00 to 2026-03-01 10:00",
		"2026-12-26 10:00 to 2026-12-25 10:00", "Mon +7:00-08:00"} {
		if span, err := parseSpan(s); err == nil {
			t.Errorf("%q is read as %+v", s, span)
		}
	}
	for _, s := range []string{"Local", "Europe/Nowhere", "../etc/passwd", "CEST"} {
		if checkZone(s) == nil {
			t.Errorf("zone %q is taken", s)
		}
	}
}

func FuzzSpan(f *testing.F) {
	for _, s := range []string{"Mon-Fri 19:00-07:00", "daily 22:00-04:00", "Sat,Sun 00:00-24:00",
		"2026-12-24 18:00 to 2026-12-26 08:00", "x 00:00-00:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		span, err := parseSpan(s)
		if err != nil {
			return
		}
		at := time.Date(2026, 3, 28, 23, 0, 0, 0, time.UTC)
		h := Hours{Spans: []Span{span}, Zone: "Europe/Berlin"}
		if _, until := h.At(at); !until.After(at) {
			t.Errorf("%q: until %v at %v", s, until, at)
		}
	})
}

func TestMaintenanceCovers(t *testing.T) {
	c := draft(t, "[[watch]]\nname='a'\ntargets=['10.0.0.0/24']\n[[watch]]\nname='b'\ntargets=['10.0.1.0/24']\n"+
		"[[maintenance]]\nname='all'\nwindows=['daily 01:00-02:00']\n"+
		"[[maintenance]]\nname='one'\nwindows=['daily 01:00-02:00']\nwatches=['a']\n"+
		"[[maintenance]]\nname='part'\nwindows=['daily 01:00-02:00']\ntargets=['10.0.0.8/29']\n")
	inside, outside := netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("10.0.0.99")
	for _, tt := range []struct {
		of    int
		watch string
		addr  netip.Addr
		want  bool
	}{
		{0, "a", inside, true}, {0, "b", netip.Addr{}, true},
		{1, "a", outside, true}, {1, "a", netip.Addr{}, true}, {1, "b", inside, false},
		{2, "a", inside, true}, {2, "a", outside, false}, {2, "a", netip.Addr{}, false},
	} {
		if got := c.Maintenance[tt.of].Covers(tt.watch, tt.addr); got != tt.want {
			t.Errorf("%s covers %v of %s: %v", c.Maintenance[tt.of].Name, tt.addr, tt.watch, got)
		}
	}
}

// TestReferenceMaintenance: the example in the comments works, and shows every
// key.
func TestReferenceMaintenance(t *testing.T) {
	_, text, _ := strings.Cut(string(Reference), "# [[maintenance]]\n")
	text, _, _ = strings.Cut(text, "\n\n")
	toml := "[[maintenance]]\n" + strings.ReplaceAll("\n"+text, "\n# ", "\n")
	for key := range maintenanceTable {
		if !strings.Contains(toml, "\n"+key+" = ") {
			t.Errorf("%s is not shown", key)
		}
	}
	c, err := parse("[[watch]]\nname='loopback'\ntargets=['127.0.0.1']\n" + toml)
	if err != nil {
		t.Fatalf("%v in\n%s", err, toml)
	}
	if m := c.Maintenance[0]; m.Name != "patch-night" || m.Hours.Zone != "Europe/Berlin" || !m.Covers("loopback", netip.MustParseAddr("127.0.0.1")) {
		t.Errorf("read as %+v", m)
	}
}

func TestMaintenanceMistakes(t *testing.T) {
	const watch = "[[watch]]\nname='a'\ntargets=['10.0.0.0/24']\n"
	for _, tt := range []struct{ text, want string }{
		{"[maintenance]\nname='x'\n", "4:1: maintenance: is a table, but must be a list of tables; write [[maintenance]]"},
		{"[[maintenance]]\nwindows=['daily 01:00-02:00']\n", `4:1: maintenance.name: is missing; write name = "patch-night"`},
		{"[[maintenance]]\nname='x'\n", "4:1: maintenance.windows: is missing or empty"},
		{"[[maintenance]]\nname='x'\nwindows=['soon']\n", `6:10: maintenance.windows: element 1: "soon" is no time of the week`},
		{"[[maintenance]]\nname='x'\nwindows=['daily 01:00-02:00']\nwatches=['b']\n", `7:1: maintenance.watches: "b" is no watch`},
		{"[[maintenance]]\nname='x'\nwindows=['daily 01:00-02:00']\ntime_zone='Mars'\n", `7:1: maintenance.time_zone: "Mars" is no time zone`},
	} {
		_, err := parse(watch + tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q:\n got %v\nwant %s", tt.text, err, tt.want)
		}
	}
}

// TestActiveHoursCost: what may be sent only in a part of the time must be sent
// faster.
func TestActiveHoursCost(t *testing.T) {
	for _, tt := range []struct {
		hours, every string
		factor       float64
	}{
		{"[]", "1h", 1}, {"['daily 00:00-24:00']", "7d", 1}, {"['daily 01:00-05:00']", "1h", 1},
		{"['daily 01:00-05:00']", "1d", 6}, {"['daily 01:00-05:00']", "7d", 6}, {"['Sat 00:00-24:00']", "7d", 7},
	} {
		const head = "[[watch]]\nname='a'\ntargets=['10.0.0.0/24']\n"
		always := draft(t, head+"discover_every='"+tt.every+"'\nverify_every='"+tt.every+"'\n")
		some := draft(t, head+"discover_every='"+tt.every+"'\nverify_every='"+tt.every+"'\nactive_hours="+tt.hours+"\n")
		a, b := always.Cost(&always.Watches[0], Costing{}), some.Cost(&some.Watches[0], Costing{})
		for _, f := range []float64{b.TriesPerSecond / a.TriesPerSecond, b.VisitsPerSecond / a.VisitsPerSecond} {
			if f < tt.factor*0.999 || f > tt.factor*1.001 {
				t.Errorf("%s, every %s: %.3f times the load, want %.3f", tt.hours, tt.every, f, tt.factor)
			}
		}
	}
}
