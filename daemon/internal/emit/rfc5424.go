package emit

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sonde/daemon/internal/event"
	"sonde/probes"
)

const (
	// maxRFC5424 is the longest message over UDP: RFC 5424 section 6.1 says
	// that receivers should accept 2,048 bytes.
	maxRFC5424 = 2048
	// maxLocal is the longest datagram on /dev/log: rsyslog and journald cut
	// messages at 8 KiB by default.
	maxLocal = 8 << 10
	// sdID is the name of our structured data. 32473 is the private enterprise
	// number that RFC 5612 sets aside for documentation: we have none yet.
	sdID = "sonde@32473"
	// maxParam is the longest value of one structured-data parameter in bytes
	// before escaping: twenty of them and the header fit in maxRFC5424 in all
	// but hostile cases, where cut removes whole parameters.
	maxParam = 128
)

// priority is the PRI value of RFC 5424 section 6.2.1.
func priority(facility int, s event.Severity) int {
	level := 6 // informational
	switch s { //exhaustive:enforce
	case event.Notice:
		level = 5
	case event.Warning:
		level = 4
	case event.Error:
		level = 3
	case event.Info:
	}
	return facility*8 + level
}

// appendRFC5424 appends the event as one syslog message of at most maxRFC5424
// bytes. It carries id and seq, by which the full line is found in the JSON
// file and in `sonde events`.
func appendRFC5424(dst []byte, facility int, host string, pid int, r *Record) []byte {
	e := &r.Event
	dst = append(dst, '<')
	dst = strconv.AppendInt(dst, int64(priority(facility, e.Severity)), 10)
	dst = append(dst, ">1 "...)
	dst = e.Timestamp.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
	dst = append(dst, ' ')
	dst = append(dst, headerField(host, 255)...)
	dst = append(dst, " sonde "...)
	dst = strconv.AppendInt(dst, int64(pid), 10)
	dst = append(dst, ' ')
	dst = append(dst, headerField(string(e.Action), 32)...)
	dst = append(dst, " ["+sdID...)
	// One byte for the closing bracket; the message gets what is left.
	for _, p := range params(e) {
		if p[1] == "" {
			continue
		}
		next := appendParam(nil, p[0], p[1])
		if len(dst)+len(next)+1 <= maxRFC5424 {
			dst = append(dst, next...)
		}
	}
	dst = append(dst, ']')
	msg := " " + clean(e.Message)
	return append(dst, cutUTF8(msg, maxRFC5424-len(dst))...)
}

// params lists the structured data, most needed first.
func params(e *event.Event) [][2]string {
	p := [][2]string{
		{"id", e.ID}, {"seq", strconv.FormatInt(e.Seq, 10)},
		{"action", string(e.Action)}, {"severity", string(e.Severity)},
		{"cause", string(e.Cause)}, {"watch", e.Watch}, {"zone", e.Zone},
	}
	if o := e.Endpoint; o != nil {
		p = append(p, [][2]string{
			{"addr", addrText(o.Addr)}, {"port", strconv.Itoa(int(o.Port))},
			{"transport", string(o.Transport)}, {"tunnel", string(o.Tunnel)},
			{"service", o.Service}, {"product", o.Product}, {"version", o.Version},
			{"info", o.Info}, {"hostname", o.Hostname},
		}...)
	}
	p = append(p, [][2]string{
		{"change_kind", string(e.ChangeKind)}, {"changed", strings.Join(e.Changed, ",")},
		{"reason", e.Reason}, {"correlation_id", e.CorrelationID},
	}...)
	if o := e.Previous; o != nil {
		p = append(p, [][2]string{
			{"previous_service", o.Service}, {"previous_product", o.Product},
			{"previous_version", o.Version},
		}...)
	}
	return p
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// appendParam appends ` name="value"` escaped as RFC 5424 section 6.3.3 says.
func appendParam(dst []byte, name, value string) []byte {
	dst = append(dst, ' ')
	dst = append(dst, name...)
	dst = append(dst, '=', '"')
	for _, c := range []byte(cutUTF8(clean(value), maxParam)) {
		if c == '"' || c == '\\' || c == ']' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// headerField makes a header field of printable ASCII without blanks, "-" when
// nothing is left (RFC 5424 section 6.2).
func headerField(s string, most int) string {
	var b strings.Builder
	for i := 0; i < len(s) && b.Len() < most; i++ {
		if s[i] > 0x20 && s[i] < 0x7f {
			b.WriteByte(s[i])
		}
	}
	if b.Len() == 0 {
		return "-"
	}
	return b.String()
}

// clean replaces every control character, every character that changes the
// direction of text, and invalid UTF-8 by '.'.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c < 0x20, c >= 0x7f && c < 0xa0, c == utf8.RuneError,
			c >= 0x200b && c <= 0x200f, c >= 0x2028 && c <= 0x202e,
			c >= 0x2066 && c <= 0x2069, c == 0xfeff:
			return '.'
		}
		return c
	}, s)
}

// cutUTF8 cuts s to at most n bytes without cutting a character.
func cutUTF8(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n = max(n, 0)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// appendLocal appends the event in the form that syslog(3) writes to /dev/log,
// with the event's JSON behind the cookie that marks structured logs (CEE). An
// event too long for a datagram is sent without its evidence and previous
// answer, and says so.
func appendLocal(dst []byte, facility, pid int, r *Record) []byte {
	start := len(dst)
	dst = append(dst, '<')
	dst = strconv.AppendInt(dst, int64(priority(facility, r.Event.Severity)), 10)
	dst = append(dst, '>')
	dst = r.Event.Timestamp.Local().AppendFormat(dst, time.Stamp)
	dst = append(dst, " sonde["...)
	dst = strconv.AppendInt(dst, int64(pid), 10)
	dst = append(dst, "]: @cee: "...)
	if len(dst)-start+len(r.JSON) <= maxLocal {
		return append(dst, r.JSON...)
	}
	return append(dst, shortJSON(&r.Event)...)
}

// shortJSON is the event with its bulky parts left out.
func shortJSON(e *event.Event) []byte {
	short := *e
	short.Evidence = nil
	short.Message = cutUTF8(e.Message, 512)
	short.Endpoint, short.Previous = bare(e.Endpoint), bare(e.Previous)
	line, err := json.Marshal(struct {
		*event.Event
		Shortened bool `json:"shortened"`
	}{&short, true})
	if err != nil || len(line) > maxLocal-128 {
		// Every field left is bounded by the database's templates, so this is
		// out of reach; the id still tells which event it was.
		line = []byte(`{"schema":"` + event.Schema + `","id":"` + e.ID + `","shortened":true}`)
	}
	return line
}

func bare(o *probes.Observation) *probes.Observation {
	if o == nil {
		return nil
	}
	b := *o
	b.Evidence, b.TLS, b.RPC, b.Fingerprint = nil, nil, nil, ""
	return &b
}
