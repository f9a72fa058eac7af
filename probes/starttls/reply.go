package starttls

import (
	"net/netip"
	"strings"
)

// onReply reads a reply of RFC 959 and RFC 5321: lines of a three-digit code,
// all but the last with "-" behind it. FTP allows any lines between. do gets
// the code, and of each line the text behind the code.
func onReply(do func(t *talk, code string, lines []string) (step, bool)) step {
	var code string
	var lines []string
	var s step
	s = onLine(func(t *talk, line string) (step, bool) {
		coded := len(line) >= 3 && digits(line[:3]) && (len(line) == 3 || line[3] == ' ' || line[3] == '-')
		switch {
		case code == "" && !coded:
			return t.broken("not a reply: " + quote(line))
		case code == "":
			code = line[:3]
		case !coded || line[:3] != code:
			lines = append(lines, line)
			return s, true
		}
		lines = append(lines, line[min(4, len(line)):])
		if len(line) > 3 && line[3] == '-' {
			return s, true
		}
		return do(t, code, lines)
	})
	return s
}

func digits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// quote shows the beginning of a line.
func quote(line string) string { return `"` + line[:min(len(line), 60)] + `"` }

// smtp is the dialogue of RFC 3207, and with LHLO of RFC 2033. The greeting is
// read to its end first: who talks into it is a spammer to some servers.
func smtp(hello string) func(*talk, Options) step {
	return func(_ *talk, o Options) step {
		return onReply(func(t *talk, code string, lines []string) (step, bool) {
			if code != "220" {
				return t.refused("greeted with %s %s", code, lines[0])
			}
			t.say(hello + " " + ownName(o.Name) + "\r\n")
			return onReply(smtpExtensions), true
		})
	}
}

func smtpExtensions(t *talk, code string, lines []string) (step, bool) {
	if code != "250" {
		return t.refused("has no extensions: %s %s", code, lines[0])
	}
	for _, line := range lines[1:] {
		if keyword, _ := word(line); keyword == "STARTTLS" {
			t.say("STARTTLS\r\n")
			return onReply(consent("220")), true
		}
	}
	return t.refused("offers no STARTTLS")
}

// consent expects the code that lets TLS begin.
func consent(yes string) func(*talk, string, []string) (step, bool) {
	return func(t *talk, code string, lines []string) (step, bool) {
		if code != yes {
			return t.refused("%s %s", code, lines[0])
		}
		return t.ready()
	}
}

// ownName is a name that no server can take offence at.
func ownName(name string) string {
	literal := strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]")
	if literal {
		inner := strings.TrimPrefix(name[1:len(name)-1], "IPv6:")
		if a, err := netip.ParseAddr(inner); err != nil || a.Zone() != "" {
			return "localhost"
		}
		return name
	}
	if !isDomain(name) {
		return "localhost"
	}
	return name
}

// isDomain reports whether name has the form of a domain name or an address:
// nothing that needs quoting anywhere.
func isDomain(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:"
	return name != "" && len(name) <= 253 && strings.Trim(name, letters) == ""
}

// ftp is the dialogue of RFC 4217. AUTH TLS is asked without FEAT, whose answer
// servers hide before the login.
func ftp(*talk, Options) step {
	var greeting func(t *talk, code string, lines []string) (step, bool)
	greeting = func(t *talk, code string, lines []string) (step, bool) {
		switch code {
		case "120": // ready in some minutes
			return onReply(greeting), true
		case "220":
			t.say("AUTH TLS\r\n")
			return onReply(consent("234")), true
		}
		return t.refused("greeted with %s %s", code, lines[0])
	}
	return onReply(greeting)
}

// nntp is the dialogue of RFC 4642.
func nntp(*talk, Options) step {
	return onReply(func(t *talk, code string, lines []string) (step, bool) {
		if code != "200" && code != "201" {
			return t.refused("greeted with %s %s", code, lines[0])
		}
		t.say("CAPABILITIES\r\n")
		return onLine(func(t *talk, line string) (step, bool) {
			if !strings.HasPrefix(line, "101") {
				return t.refused("has no list of capabilities: %s", line)
			}
			return onList(func(t *talk, offered bool) (step, bool) {
				if !offered {
					return t.refused("offers no STARTTLS")
				}
				t.say("STARTTLS\r\n")
				return onReply(consent("382")), true
			}, "STARTTLS"), true
		}), true
	})
}

// onList reads lines up to one of a single dot, and tells whether one of them
// begins with a keyword.
func onList(do func(t *talk, offered bool) (step, bool), keyword string) step {
	var s step
	offered := false
	s = onLine(func(t *talk, line string) (step, bool) {
		if line == "." {
			return do(t, offered)
		}
		first, _ := word(line)
		offered = offered || first == keyword
		return s, true
	})
	return s
}

// pop3 is the dialogue of RFC 2595. A server without CAPA may have STLS.
func pop3(*talk, Options) step {
	stls := func(t *talk) (step, bool) {
		t.say("STLS\r\n")
		return onLine(func(t *talk, line string) (step, bool) {
			if !pop3OK(line) {
				return t.refused("%s", line)
			}
			return t.ready()
		}), true
	}
	return onLine(func(t *talk, line string) (step, bool) {
		switch {
		case strings.HasPrefix(line, "-ERR"):
			return t.refused("greeted with %s", line)
		case !pop3OK(line):
			return t.broken("not a greeting: " + quote(line))
		}
		t.say("CAPA\r\n")
		return onLine(func(t *talk, line string) (step, bool) {
			if !pop3OK(line) {
				return stls(t)
			}
			return onList(func(t *talk, offered bool) (step, bool) {
				if !offered {
					return t.refused("offers no STLS")
				}
				return stls(t)
			}, "STLS"), true
		}), true
	})
}

func pop3OK(line string) bool {
	first, _ := word(line)
	return first == "+OK"
}
