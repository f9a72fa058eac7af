// Package fingerprint writes what a service answered as one text in the form
// that nmap gave such texts, "SF-Port…", for services that no line explains.
// It holds the answers byte for byte, so that a signature can be written from
// it, and passes through mail, terminals and web forms unharmed.
//
// A text has one of two layouts. [Of] gives one line, for records; [Wrap]
// breaks it for people, into lines of [Width] characters that begin with
// "SF:".
package fingerprint

import (
	"fmt"
	"time"

	"sonde/probes"
)

// The limits of a text.
const (
	// MaxData is how much of one answer is shown.
	MaxData = probes.MaxAnswerData
	// MaxText is the length, as wrapped, from which on no further answer is
	// added. The last one may go beyond it, by four characters for each of its
	// bytes: 2,200 and 900 × 4 × 75/71 and a header make 6.1 KB at most.
	MaxText = 2200
	// Width is the length of a line as wrapped, "SF:" included.
	Width = 74
)

// softFrom is the intensity from which on a soft match is not enough.
const softFrom = probes.IntensityDefault

// Settings say what Of writes beside the answers.
type Settings struct {
	Version   string // of the program, for V=
	Platform  string // that it runs on, for P=
	Intensity int    // of the visit, for I=
	Scrub     bool   // hide what may name the target; see Scrub
}

// Of gives the fingerprint of what an observation leaves unexplained, in one
// line, or "". After a hard match there is none, after a soft one only from
// the default intensity on, and none of a refusal.
//
// Inside a tunnel only what was heard there counts. An observation without
// Answers shows its evidence.
func Of(o *probes.Observation, s Settings) string {
	if o.Strength == probes.Hard || o.Strength == probes.Soft && s.Intensity < softFrom ||
		o.Outcome == probes.OutcomeBlocked {
		return ""
	}
	answers := o.Answers
	if len(answers) == 0 && o.Evidence != nil {
		answers = []probes.Answer{{Probe: o.Evidence.Probe, Tunnel: o.Tunnel,
			Data: o.Evidence.Answer, Length: len(o.Evidence.Answer)}}
	}
	c := New(Header{Port: o.Port, Transport: o.Transport, Tunnel: o.Tunnel, Version: s.Version,
		Intensity: s.Intensity, Time: o.At, Platform: s.Platform})
	names := namesOf(o)
	for _, a := range answers {
		if a.Tunnel != o.Tunnel {
			continue
		}
		if a.Data = a.Data[:min(len(a.Data), MaxData)]; s.Scrub {
			a.Data = Scrub(a.Data, names)
		}
		c.Add(a)
	}
	if c.Empty() {
		return ""
	}
	return c.Text()
}

// A Header is what a text begins with.
type Header struct {
	Port      uint16
	Transport probes.Transport
	Tunnel    probes.Tunnel
	Version   string
	Intensity int
	Time      time.Time
	Platform  string
}

// A Collector gathers the answers of one endpoint.
type Collector struct {
	text  []byte // without line breaks
	empty bool
}

// New begins a text. Control characters and blanks of the header's strings,
// and what has a meaning in the form, become '_'.
func New(h Header) *Collector {
	c := &Collector{empty: true}
	protocol := "TCP"
	if h.Transport == probes.UDP {
		protocol = "UDP"
	}
	c.text = fmt.Appendf(c.text, "SF-Port%d-%s:V=%s", h.Port, protocol, word(h.Version))
	if h.Tunnel != probes.NoTunnel {
		c.text = append(c.text, "%T=SSL"...)
	}
	c.text = fmt.Appendf(c.text, "%%I=%d%%D=%d/%d%%Time=%X%%P=%s", h.Intensity,
		int(h.Time.Month()), h.Time.Day(), uint32(h.Time.Unix()), word(h.Platform))
	return c
}

// Add adds an answer, unless it is empty or the text is long enough.
func (c *Collector) Add(a probes.Answer) {
	if a.Length == 0 || len(a.Data) == 0 || wrapped(len(c.text)) > MaxText {
		return
	}
	c.empty = false
	probe := a.Probe
	if probe == "" {
		probe = "NULL"
	}
	c.text = fmt.Appendf(c.text, "%%r(%s,%X,\"", word(probe), a.Length)
	c.text = appendEscaped(c.text, a.Data[:min(len(a.Data), MaxData)])
	c.text = append(c.text, `")`...)
}

// Empty reports whether no answer was added.
func (c *Collector) Empty() bool { return c.empty }

// Text gives the text in one line.
func (c *Collector) Text() string { return string(c.text) + ";" }

// String gives the text wrapped, without a line feed at its end.
func (c *Collector) String() string { return Wrap(c.Text()) }

// Wrap breaks a text in one line into lines of Width characters, wherever they
// are full, even inside an escape.
func Wrap(text string) string {
	out := make([]byte, 0, wrapped(len(text)))
	for n := Width; len(text) > n; n = Width - len("SF:") {
		out = append(append(out, text[:n]...), "\nSF:"...)
		text = text[n:]
	}
	return string(append(out, text...))
}

// wrapped is the length of a text of n characters when it is wrapped.
func wrapped(n int) int {
	const first, others = Width, Width - len("SF:")
	if n <= first {
		return n
	}
	return n + len("\nSF:")*((n-first+others-1)/others)
}
