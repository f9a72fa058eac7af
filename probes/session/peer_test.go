package session

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A peer is a server by script.
//
//	rtt 2ms                        the time of a round trip
//	queues                         one client at a time, the others wait
//	away reset                     what happens to a client beside another
//	refuse 2                       the connect with that number, and all later
//	tls yes                        or 1.2, no, silent, or the name of an alert
//	tickets yes                    given back, a ticket is taken; or fail, or
//	                               mute: then nothing is said in that tunnel
//	key ssh-ed25519 AAAA           the host key of an SSH server; or silent; else
//	                               it closes
//	greet wait 50ms say "220 hi"   when it turns to a client
//	on "GET" say "HTTP" close      when it hears what begins so
//	tls on "GET" say "HTTP"        the same inside a tunnel; greet likewise
//	on "ask" #2 say "yes"          only the second time
//
// Steps are: wait D, say "text", from PORT (of the last say), close, reset,
// reject (an ICMP error).
type peer struct {
	rtt       time.Duration
	queues    bool
	away      []step
	refuse    int
	tls       string
	tickets   string
	key       string
	reactions []reaction
	answers   func(data []byte) []byte // to what no reaction is for; may be nil
}

type reaction struct {
	to     string // "" for a greeting
	tunnel bool
	number int // 0: always
	steps  []step
	times  int
}

type step struct {
	wait time.Duration
	do   string
	text string
	port uint16
}

func parsePeer(text string) (*peer, error) {
	p := &peer{rtt: 2 * time.Millisecond}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := p.add(line); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
	}
	return p, nil
}

func (p *peer) add(line string) (err error) {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "rtt":
		p.rtt, err = time.ParseDuration(rest)
	case "queues":
		p.queues = true
	case "away":
		p.away, err = parseSteps(rest)
	case "refuse":
		p.refuse, err = strconv.Atoi(rest)
	case "tls":
		if !strings.HasPrefix(rest, "on ") && !strings.HasPrefix(rest, "greet ") {
			p.tls = rest
			return nil
		}
		if err = p.add(rest); err == nil {
			p.reactions[len(p.reactions)-1].tunnel = true
		}
	case "tickets":
		p.tickets = rest
	case "key":
		p.key = rest
	case "greet", "on":
		var r reaction
		if verb == "on" {
			if r.to, rest, err = unquote(rest); err != nil {
				return err
			}
		}
		if after, ok := strings.CutPrefix(rest, "#"); ok {
			number, steps, _ := strings.Cut(after, " ")
			if r.number, err = strconv.Atoi(number); err != nil {
				return err
			}
			rest = steps
		}
		r.steps, err = parseSteps(rest)
		p.reactions = append(p.reactions, r)
	default:
		err = fmt.Errorf("unknown verb")
	}
	return err
}

func unquote(s string) (text, rest string, err error) {
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", err
	}
	text, err = strconv.Unquote(quoted)
	return text, strings.TrimSpace(s[len(quoted):]), err
}

func parseSteps(s string) (steps []step, err error) {
	var wait time.Duration
	for s != "" {
		var verb, arg string
		verb, s, _ = strings.Cut(s, " ")
		st := step{do: verb, wait: wait}
		switch verb {
		case "wait":
			arg, s, _ = strings.Cut(s, " ")
			d, err := time.ParseDuration(arg)
			if err != nil {
				return nil, err
			}
			wait += d
			continue
		case "say":
			if st.text, s, err = unquote(s); err != nil {
				return nil, err
			}
		case "from":
			arg, s, _ = strings.Cut(s, " ")
			port, err := strconv.ParseUint(arg, 10, 16)
			if err != nil {
				return nil, err
			}
			steps[len(steps)-1].port = uint16(port)
			continue
		case "close", "reset", "reject":
		default:
			return nil, fmt.Errorf("unknown step %q", verb)
		}
		steps = append(steps, st)
		wait = 0
	}
	return steps, nil
}

func (p *peer) refuses(inside, number int) error {
	if p.refuse > 0 && number >= p.refuse {
		return syscall.ECONNREFUSED
	}
	return nil
}

func (p *peer) greet(s *sim, c *simConn) {
	for _, r := range p.reactions {
		if r.to == "" && r.tunnel == c.tunnel {
			s.play(c, r.steps)
		}
	}
}

func (p *peer) heard(s *sim, c *simConn, data []byte) {
	for i := range p.reactions {
		r := &p.reactions[i]
		if r.to == "" || r.tunnel != c.tunnel || !strings.HasPrefix(string(data), r.to) {
			continue
		}
		if r.times++; r.number == 0 || r.times == r.number {
			s.play(c, r.steps)
			return
		}
	}
	if p.answers == nil {
		return
	}
	if b := p.answers(data); len(b) > 0 {
		s.play(c, []step{{do: "say", text: string(b)}})
	}
}
