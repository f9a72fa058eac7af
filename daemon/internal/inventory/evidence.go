package inventory

import (
	"bytes"
	"regexp"
	"slices"

	"sonde/daemon/internal/event"
	"sonde/probes"
	"sonde/probes/fingerprint"
)

// eventEvidence is evidence as an event may carry it: the answer cut to
// [event.MaxAnswer], secrets blotted out. The stored evidence stays whole, for
// matching it again.
func eventEvidence(in *probes.Evidence) *probes.Evidence {
	if in == nil {
		return nil
	}
	e := *in
	if len(e.Answer) > event.MaxAnswer {
		e.Answer, e.Truncated = e.Answer[:event.MaxAnswer], true
	}
	e.Answer = scrub(e.Answer)
	return &e
}

// Drawn gives what the probes drew from a service that no line explains, in the
// order asked, and whether there was no room for more. It is what the fingerprint
// holds: up to [probes.MaxAnswerData] bytes of each answer, and as many answers as
// have room in it. Of a service with a hard match the evidence is all there is.
func Drawn(o *probes.Observation) (list []probes.Answer, full bool) {
	list, full, err := fingerprint.Answers(o.Fingerprint)
	if err != nil {
		return nil, false // of a later program, in a form of its own
	}
	return list, full
}

// ShownAnswer is an answer as it may be shown to those who may not read the state
// itself: secrets blotted out.
func ShownAnswer(a probes.Answer) probes.Answer {
	a.Data = scrub(a.Data)
	return a
}

// secrets finds what an answer may hold of a session: the values of cookies
// and of nonces. The part in parentheses is the secret.
var secrets = regexp.MustCompile(`(?i)` +
	`(?:set-cookie2?:[ \t]*[^=\r\n]{0,256}=([^;\r\n]+)` +
	`|(?:nonce|opaque|token|session|sid)[a-z_]{0,16}"?[ \t]{0,4}[=:][ \t]{0,4}"?([^"&;,\s]{8,}))`)

// scrub overwrites secrets with '*', byte for byte.
func scrub(answer []byte) []byte {
	found := secrets.FindAllSubmatchIndex(answer, -1)
	if len(found) == 0 {
		return answer
	}
	out := slices.Clone(answer)
	for _, m := range found {
		for i := 2; i < len(m); i += 2 {
			if m[i] >= 0 {
				copy(out[m[i]:m[i+1]], bytes.Repeat([]byte("*"), m[i+1]-m[i]))
			}
		}
	}
	return out
}
