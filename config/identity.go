package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// The values of [identity] go into requests as they are, so nothing passes
// that could end a line or a field. "" always passes: it tells nothing.

// maxUserAgent is enough for a name, a version and an address for people;
// web servers refuse fields of some kilobytes.
const maxUserAgent = 256

// maxContact is the longest mail address (RFC 5321, section 4.5.3.1.3, without
// the angle brackets).
const maxContact = 254

func isPrintable(c rune) bool { return c >= ' ' && c <= '~' }

// checkUserAgent accepts what User-Agent may hold of ASCII (RFC 9110, section
// 5.5).
func checkUserAgent(s string) error {
	bad := func(c rune) bool { return !isPrintable(c) }
	if len(s) > maxUserAgent || strings.ContainsFunc(s, bad) || strings.TrimSpace(s) != s {
		return fmt.Errorf("%.80q is no User-Agent; write up to %d printable ASCII characters, first and last no blank", s, maxUserAgent)
	}
	return nil
}

// checkContact accepts mail addresses without quoting or comments.
func checkContact(s string) error {
	if s == "" {
		return nil
	}
	local, domain, found := strings.Cut(s, "@")
	bad := func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`()<>[]:;@\,"`, c) }
	if !found || len(s) > maxContact || local == "" || strings.ContainsFunc(local, bad) ||
		!isHostName(strings.ToLower(domain)) {
		return fmt.Errorf(`%.80q is no mail address; write one that reaches a person, as in "noc@example.org"`, s)
	}
	return nil
}

// checkEHLOName accepts a host name, and an address literal as RFC 5321 has
// it in section 4.1.3.
func checkEHLOName(s string) error {
	_, bare := netip.ParseAddr(s)
	if s == "" || bare != nil && isHostName(strings.ToLower(s)) {
		return nil
	}
	literal, ok := strings.CutPrefix(s, "[")
	literal, closed := strings.CutSuffix(literal, "]")
	six, is6 := strings.CutPrefix(literal, "IPv6:")
	a, err := netip.ParseAddr(six)
	if ok && closed && err == nil && a.Is6() == is6 && a.Zone() == "" {
		return nil
	}
	return fmt.Errorf(`%.80q is no host name; write "scanner.example.org", or an address as "[192.0.2.7]" or "[IPv6:2001:db8::7]"`, s)
}
