package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// parseDuration reads what time.ParseDuration reads, and whole days ("7d").
func parseDuration(s string) (time.Duration, error) {
	if n, ok := strings.CutSuffix(s, "d"); ok {
		if days, err := strconv.ParseUint(n, 10, 16); err == nil {
			return time.Duration(days) * day, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf(`%.80q is no time; write a number and its unit, like "500ms", "65s", "15m", "1h" or "7d"`, s)
	}
	return d, nil
}

// short writes a duration without empty parts: "5m", not "5m0s".
func short(d time.Duration) string {
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// parseSize reads a number of bytes: "64MiB", "500KiB", "1GiB", "4096B".
func parseSize(s string) (int64, error) {
	shift := map[string]int{"B": 0, "KiB": 10, "MiB": 20, "GiB": 30}
	digits := strings.TrimRight(s, "BGKMi")
	by, known := shift[s[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !known || n < 0 || n > math.MaxInt64>>by {
		return 0, fmt.Errorf(`%.80q is no size; write a whole number and its unit, like "64MiB", "500KiB" or "1GiB"`, s)
	}
	return n << by, nil
}

// shortSize writes a number of bytes in the largest unit that divides it.
func shortSize(n int64) string {
	for _, u := range []struct {
		shift int
		name  string
	}{{30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if n>>u.shift<<u.shift == n && n != 0 {
			return fmt.Sprintf("%d%s", n>>u.shift, u.name)
		}
	}
	return fmt.Sprintf("%dB", n)
}

// size gives a parser of sizes within bounds.
func size(low, high int64) func(string) (int64, error) {
	return func(s string) (int64, error) {
		n, err := parseSize(s)
		if err == nil && (n < low || n > high) {
			err = fmt.Errorf("%q is out of range; write a size from %s to %s", s, shortSize(low), shortSize(high))
		}
		return n, err
	}
}

// facilities are the names of RFC 5424's facilities, by code.
var facilities = []string{"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news",
	"uucp", "cron", "authpriv", "ftp", "ntp", "audit", "alert", "clock",
	"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}
