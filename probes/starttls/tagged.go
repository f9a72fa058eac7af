package starttls

import (
	"slices"
	"strconv"
	"strings"
)

// imap is the dialogue of RFC 9051. Capabilities in the greeting save a round
// trip.
func imap(*talk, Options) step {
	return onLine(func(t *talk, line string) (step, bool) {
		star, rest := word(line)
		condition, text := word(rest)
		switch {
		case star != "*" || !slices.Contains([]string{"OK", "PREAUTH", "BYE"}, condition):
			return t.broken("not a greeting: " + quote(line))
		case condition == "BYE":
			return t.refused("greeted with BYE %s", text)
		case condition == "PREAUTH":
			return t.refused("is past the state that allows STARTTLS")
		}
		if list, ok := imapCode(text); ok {
			return imapOffer(t, list)
		}
		t.say("a CAPABILITY\r\n")
		return imapCapabilities(), true
	})
}

// imapCode gives the capabilities of a response code "[CAPABILITY …]".
func imapCode(text string) (list []string, ok bool) {
	code, found := strings.CutPrefix(strings.ToUpper(text), "[CAPABILITY ")
	code, _, closed := strings.Cut(code, "]")
	return strings.Fields(code), found && closed
}

func imapCapabilities() step {
	var list []string
	var s step
	s = onLine(func(t *talk, line string) (step, bool) {
		tag, rest := word(line)
		switch kind, text := word(rest); {
		case tag == "*" && kind == "CAPABILITY":
			list = append(list, strings.Fields(strings.ToUpper(text))...)
		case tag == "*" && kind == "BYE":
			return t.refused("BYE %s", text)
		case tag == "A" && kind == "OK":
			return imapOffer(t, list)
		case tag == "A":
			return t.refused("has no capabilities: %s", rest)
		}
		return s, true
	})
	return s
}

func imapOffer(t *talk, capabilities []string) (step, bool) {
	if !slices.Contains(capabilities, "STARTTLS") {
		return t.refused("offers no STARTTLS")
	}
	t.say("b STARTTLS\r\n")
	var s step
	s = onLine(func(t *talk, line string) (step, bool) {
		tag, rest := word(line)
		kind, text := word(rest)
		switch {
		case tag == "B" && kind == "OK":
			return t.ready()
		case tag == "B" || tag == "*" && kind == "BYE":
			return t.refused("%s %s", kind, text)
		}
		return s, true
	})
	return s, true
}

// sieve is the dialogue of RFC 5804: the server lists its capabilities, one a
// line, and ends with OK.
func sieve(*talk, Options) step {
	offered := false
	var s step
	s = onSieveLine(func(t *talk, line string) (step, bool) {
		switch first, rest := word(line); first {
		case `"STARTTLS"`:
			offered = true
		case "NO", "BYE":
			return t.refused("greeted with %s %s", first, rest)
		case "OK":
			if !offered {
				return t.refused("offers no STARTTLS")
			}
			t.say("STARTTLS\r\n")
			return onSieveLine(func(t *talk, line string) (step, bool) {
				if first, _ := word(line); first != "OK" {
					return t.refused("%s", line)
				}
				return t.ready()
			}), true
		default:
			if !strings.HasPrefix(line, `"`) {
				return t.broken("not a capability: " + quote(line))
			}
		}
		return s, true
	})
	return s
}

// onSieveLine reads a line and the literals in it: a line that ends in "{N}"
// goes on after N bytes of any kind. do gets it without them.
func onSieveLine(do func(t *talk, line string) (step, bool)) step {
	var text string
	var s step
	s = onLine(func(t *talk, line string) (step, bool) {
		text += line
		if len(text) > MaxLine {
			return t.broken("a line of too many literals")
		}
		n, ok := literal(line)
		if !ok {
			whole := text
			text = "" // the step may be used again
			return do(t, whole)
		}
		if n > MaxInput {
			return t.broken("a literal of " + strconv.Itoa(n) + " bytes")
		}
		return func(t *talk) (step, bool) {
			_, ok := t.take(n)
			return s, ok
		}, true
	})
	return s
}

// literal gives the length in "{N}" or "{N+}" at the end of a line.
func literal(line string) (n int, ok bool) {
	at := strings.LastIndexByte(line, '{')
	if at < 0 || !strings.HasSuffix(line, "}") {
		return 0, false
	}
	number := strings.TrimSuffix(line[at+1:len(line)-1], "+")
	v, err := strconv.ParseUint(number, 10, 31)
	return int(v), err == nil
}

// irc is STARTTLS as IRC servers know it before the registration: the
// capability "tls" offers it, 670 consents, 691 refuses. A server without
// capabilities may have it; to ask it first would not do, as many do not answer
// an unknown command that early.
func irc(t *talk, _ Options) step {
	t.say("CAP LS\r\n")
	offered := false
	return onIRC(func(t *talk, command, rest string, again step) (step, bool) {
		if command != "CAP" {
			return ircAsk(t)
		}
		head, list, _ := strings.Cut(rest, ":")
		offered = offered || slices.Contains(strings.Fields(strings.ToLower(list)), "tls")
		switch {
		case strings.HasSuffix(strings.TrimSpace(head), "LS *"): // more to come
			return again, true
		case !offered:
			return t.refused("offers no STARTTLS")
		}
		return ircAsk(t)
	})
}

func ircAsk(t *talk) (step, bool) {
	t.say("STARTTLS\r\n")
	return onIRC(func(t *talk, command, rest string, _ step) (step, bool) {
		if command != "670" {
			return t.refused("%s %s", command, rest)
		}
		return t.ready()
	}), true
}

// onIRC reads a message, without who says it, and answers a ping. do gets
// numerics and CAP, and the step that reads on; an ERROR ends the dialogue.
func onIRC(do func(t *talk, command, rest string, again step) (step, bool)) step {
	var s step
	s = onLine(func(t *talk, line string) (step, bool) {
		if strings.HasPrefix(line, ":") {
			_, line, _ = strings.Cut(line, " ")
		}
		switch command, rest := word(line); {
		case command == "PING":
			t.say("PONG " + clean(rest) + "\r\n")
			return s, true
		case command == "NOTICE" || command == "020" || command == "": // 020: please wait
			return s, true
		case command == "ERROR":
			return t.refused("ERROR %s", rest)
		case command == "CAP" || len(command) == 3 && digits(command):
			return do(t, command, rest, s)
		}
		return t.broken("not IRC before the registration: " + quote(line))
	})
	return s
}
