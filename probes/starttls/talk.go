package starttls

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
)

// A step reads one thing from t.in and gives the step that follows. If it is
// not all there, it takes nothing and reports false.
type step func(t *talk) (next step, ok bool)

// A talk runs the steps of one dialogue.
type talk struct {
	in      []byte // received, not taken
	total   int    // received in all
	out     []byte
	step    step
	state   State
	reason  string
	goodbye string
}

// Next implements Dialogue.
func (t *talk) Next(received []byte) (send []byte, state State) {
	if t.state == Ready && len(received) > 0 {
		t.broken("spoke after its consent to TLS")
	}
	if t.state != Waiting {
		return nil, t.state
	}
	room := MaxInput - t.total
	excess := len(received) > room
	received = received[:min(len(received), room)]
	t.total += len(received)
	t.in = append(t.in, received...)
	for t.state == Waiting {
		next, ok := t.step(t)
		if !ok {
			break
		}
		t.step = next
	}
	switch {
	case t.state == Ready && (len(t.in) > 0 || excess):
		t.broken("spoke after its consent to TLS")
	case t.state == Waiting && excess:
		t.broken(fmt.Sprintf("said more than %d bytes", MaxInput))
	}
	if t.state != Waiting {
		t.in = nil
	}
	send, t.out = t.out, nil
	return send, t.state
}

// Reason implements Dialogue.
func (t *talk) Reason() string { return t.reason }

// Goodbye implements Dialogue.
func (t *talk) Goodbye() []byte { return []byte(t.goodbye) }

// say sends text as it is.
func (t *talk) say(text string) { t.out = append(t.out, text...) }

// ready ends the dialogue with success.
func (t *talk) ready() (step, bool) {
	t.state = Ready
	return nil, true
}

// refused ends it with the server's no, and says goodbye.
func (t *talk) refused(format string, args ...any) (step, bool) {
	t.state, t.reason = Refused, cmp.Or(clean(fmt.Sprintf(format, args...)), "refused without a word")
	t.say(t.goodbye)
	return nil, true
}

// broken ends it without a word.
func (t *talk) broken(reason string) (step, bool) {
	t.state, t.reason = Broken, clean(reason)
	t.out = nil
	return nil, true
}

// take gives the next n bytes, when they are there.
func (t *talk) take(n int) ([]byte, bool) {
	if len(t.in) < n {
		return nil, false
	}
	b := t.in[:n]
	t.in = t.in[n:]
	return b, true
}

// line gives the next line without its end, which may be LF alone. A line that
// is too long breaks the dialogue.
func (t *talk) line() (string, bool) {
	i := bytes.IndexByte(t.in[:min(len(t.in), MaxLine)], '\n')
	if i < 0 {
		if len(t.in) >= MaxLine {
			t.broken(fmt.Sprintf("a line of more than %d bytes", MaxLine))
		}
		return "", false
	}
	line, _ := t.take(i + 1)
	return strings.TrimSuffix(string(line[:i]), "\r"), true
}

// onLine makes a step of a function of one line.
func onLine(do func(t *talk, line string) (step, bool)) step {
	return func(t *talk) (step, bool) {
		line, ok := t.line()
		if !ok {
			return nil, false
		}
		return do(t, line)
	}
}

// clean makes a server's words fit for a reason.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.TrimSpace(s))
	return s[:min(len(s), MaxReason)]
}

// word gives the first word of a line in upper case, and the rest.
func word(line string) (first, rest string) {
	first, rest, _ = strings.Cut(strings.TrimLeft(line, " "), " ")
	return strings.ToUpper(first), rest
}
