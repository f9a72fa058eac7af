package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestIdentity(t *testing.T) {
	c, err := parse(`[identity]
contact = "noc@example.org"
user_agent = "Sonde (+https://scan.example.org/)"
ehlo_name = "[IPv6:2001:db8::7]"
`)
	if err != nil {
		t.Fatal(err)
	}
	want := Identity{"noc@example.org", "Sonde (+https://scan.example.org/)", "[IPv6:2001:db8::7]"}
	if c.Identity != want {
		t.Errorf("got %+v, want %+v", c.Identity, want)
	}
	if !Diff(Default(), c).Identity {
		t.Error("a reload does not see the change")
	}
}

func TestIdentityValues(t *testing.T) {
	for key, c := range map[string]struct{ good, bad []string }{
		"contact": {
			good: []string{"", "a@example.org", "first.last+scan@Mail.example"},
			bad: []string{"noc", "@example.org", "a@", "a@b@c", "a b@example.org", "a@exa mple.org",
				"a@example.org\r\nCookie: x", "<a@example.org>", strings.Repeat("a", 250) + "@b.org", "ä@example.org"},
		},
		"user_agent": {
			good: []string{"", "x", "Sonde/1.0 (+https://example.org/?a=b; \"hi\")", strings.Repeat("u", 256)},
			bad:  []string{" x", "x ", "a\nb", "a\r\nFrom: x", "a\tb", "a\x00b", "ü", strings.Repeat("u", 257)},
		},
		"ehlo_name": {
			good: []string{"", "localhost", "Scan.example.org", "[192.0.2.7]", "[IPv6:2001:db8::7]"},
			bad: []string{"192.0.2.7", "a b", "a\r\nMAIL FROM:<x>", "-a.org", "192.0.2.7]", "[192.0.2.7", "[2001:db8::7]",
				"[IPv6:192.0.2.7]", "[IPv6:fe80::1%eth0]", "[]", "scan.example.org."},
		},
	} {
		for _, s := range c.good {
			if _, err := parse(fmt.Sprintf("[identity]\n%s = %q\n", key, s)); err != nil {
				t.Errorf("%s = %q: %v", key, s, err)
			}
		}
		for _, s := range c.bad {
			text := fmt.Sprintf("[identity]\n%s = %s\n", key, tomlString(s))
			_, err := parse(text)
			if es := (Errors)(nil); !errors.As(err, &es) || es[0].Key != "identity."+key || es[0].Line != 2 {
				t.Errorf("%s: got %v", text, err)
			}
		}
	}
}

// tomlString writes a basic string of TOML, whose escapes differ from Go's.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		if c == '"' || c == '\\' || c < ' ' {
			fmt.Fprintf(&b, `\u%04x`, c)
		} else {
			b.WriteRune(c)
		}
	}
	return b.String() + `"`
}
