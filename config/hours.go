package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // so that a zone means the same on every machine
)

// Hours are spans of time by the clock of one place, such as the nights of a
// week. The zero value has none.
type Hours struct {
	Spans []Span
	Zone  string // IANA name; "" for UTC
}

// A Span is a time of day on some days of every week, or once from one date to
// another.
type Span struct {
	Days     [7]bool // by time.Weekday, on which it begins; none: it is once
	From, To int     // minutes of the day; a To not after From is of the next day

	Once, End Date // of a span that is once
}

// A Date is a minute by the clock of some place.
type Date struct{ Year, Month, Day, Minute int }

// at is that minute at a place. One that a change of the clock leaves out is
// the same time after the change.
func (d Date) at(zone *time.Location) time.Time {
	return time.Date(d.Year, time.Month(d.Month), d.Day, 0, d.Minute, 0, 0, zone)
}

// ahead is how far At looks: every weekly span comes again within it.
const ahead = 8

// At says whether t lies in one of the spans, and until when at least that
// stays so.
func (h Hours) At(t time.Time) (in bool, until time.Time) {
	until = t.Add(ahead * day)
	for _, s := range h.around(t) {
		switch {
		case !s.end.After(t):
		case s.start.After(t):
			return in, minTime(until, s.start)
		default:
			return true, s.end
		}
	}
	return in, until
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

type period struct{ start, end time.Time }

// around gives the spans from the day before t to those ahead, in order, those
// that touch as one.
func (h Hours) around(t time.Time) []period {
	zone := h.location()
	year, month, today := t.In(zone).Date()
	var all []period
	for _, s := range h.Spans {
		if s.Days == [7]bool{} {
			all = append(all, period{s.Once.at(zone), s.End.at(zone)})
			continue
		}
		for d := -1; d <= ahead; d++ {
			begin := Date{year, int(month), today + d, s.From}
			if !s.Days[begin.at(zone).Weekday()] {
				continue
			}
			end := Date{year, int(month), today + d, s.To}
			if s.To <= s.From {
				end.Day++
			}
			all = append(all, period{begin.at(zone), end.at(zone)})
		}
	}
	slices.SortFunc(all, func(a, b period) int { return a.start.Compare(b.start) })
	var out []period
	for _, p := range all {
		if last := len(out) - 1; last >= 0 && !p.start.After(out[last].end) {
			out[last].end = slices.MaxFunc([]time.Time{out[last].end, p.end}, time.Time.Compare)
			continue
		}
		out = append(out, p)
	}
	return out
}

// zones are the places read so far, by name: reading one takes 0.1 ms.
var zones sync.Map

// location is the place. That it exists was checked when it was read.
func (h Hours) location() *time.Location {
	if zone, ok := zones.Load(h.Zone); ok {
		return zone.(*time.Location)
	}
	zone, err := time.LoadLocation(h.Zone)
	if err != nil {
		return time.UTC
	}
	zones.Store(h.Zone, zone)
	return zone
}

// share is the part of a week that the weekly spans cover, and longest the
// longest of them without a break.
func (h Hours) share() (share float64, longest time.Duration) {
	week := time.Date(2024, 1, 7, 0, 0, 0, 0, time.UTC) // any Sunday
	h.Zone = ""
	var sum time.Duration
	for _, p := range h.around(week) {
		longest = max(longest, min(p.end.Sub(p.start), 7*day))
		start := slices.MaxFunc([]time.Time{p.start, week}, time.Time.Compare)
		sum += max(0, minTime(p.end, week.Add(7*day)).Sub(start))
	}
	return float64(sum) / float64(7*day), longest
}

var weekdays = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// parseWeekly reads "Mon-Fri 19:00-07:00", "Sat,Sun 00:00-24:00" and "daily
// 22:00-04:00".
func parseWeekly(s string) (Span, error) {
	var out Span
	bad := fmt.Errorf(`%.80q is no time of the week; write "Mon-Fri 19:00-07:00", "Sat,Sun 00:00-24:00" or "daily 22:00-04:00"`, s)
	days, clock, ok := strings.Cut(s, " ")
	from, to, ok2 := strings.Cut(clock, "-")
	if !ok || !ok2 || !out.setDays(days) {
		return out, bad
	}
	var okFrom, okTo bool
	out.From, okFrom = parseMinute(from)
	out.To, okTo = parseMinute(to)
	if !okFrom || !okTo || out.From == out.To || out.From == 24*60 || out.To == 0 {
		return out, bad
	}
	return out, nil
}

func (s *Span) setDays(list string) bool {
	list = strings.ToLower(list)
	if list == "daily" {
		s.Days = [7]bool{true, true, true, true, true, true, true}
		return true
	}
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		a, b := slices.Index(weekdays[:], first), slices.Index(weekdays[:], last)
		if a < 0 || b < 0 {
			return false
		}
		for d := a; ; d = (d + 1) % 7 {
			s.Days[d] = true
			if d == b {
				break
			}
		}
	}
	return true
}

// parseMinute reads "07:30" and gives the minute of the day, up to that of
// "24:00".
func parseMinute(s string) (int, bool) {
	h, m, ok := strings.Cut(s, ":")
	hour, err1 := strconv.ParseUint(h, 10, 8)
	minute, err2 := strconv.ParseUint(m, 10, 8)
	n := int(hour*60 + minute)
	return n, ok && err1 == nil && err2 == nil && len(h) == 2 && len(m) == 2 && minute < 60 && n <= 24*60
}

// parseSpan reads what parseWeekly reads, and "2026-12-24 18:00 to 2026-12-26
// 08:00".
func parseSpan(s string) (Span, error) {
	from, to, ok := strings.Cut(s, " to ")
	if !ok {
		out, err := parseWeekly(s)
		if err != nil {
			err = fmt.Errorf(`%w, or "2026-12-24 18:00 to 2026-12-26 08:00"`, err)
		}
		return out, err
	}
	a, ok1 := parseDate(from)
	b, ok2 := parseDate(to)
	if !ok1 || !ok2 || cmpDate(a, b) >= 0 {
		return Span{}, fmt.Errorf(`%.80q goes from no date to a later one; write "2026-12-24 18:00 to 2026-12-26 08:00"`, s)
	}
	return Span{Once: a, End: b}, nil
}

func parseDate(s string) (Date, bool) {
	const layout = "2006-01-02 15:04"
	t, err := time.Parse(layout, s)
	return Date{t.Year(), int(t.Month()), t.Day(), t.Hour()*60 + t.Minute()}, err == nil && len(s) == len(layout)
}

func cmpDate(a, b Date) int {
	return cmp.Or(a.Year-b.Year, a.Month-b.Month, a.Day-b.Day, a.Minute-b.Minute)
}

// checkZone takes the name of a time zone of the IANA database.
func checkZone(s string) error {
	if _, err := time.LoadLocation(s); err != nil || s == "Local" {
		return fmt.Errorf(`%.80q is no time zone of the IANA database; write one like "Europe/Berlin", or "UTC"`, s)
	}
	return nil
}
