package emit

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"sonde/daemon/internal/event"
)

const (
	// maxDatagram is the longest message over UDP: RFC 5424 section 6.1 says
	// that receivers should accept 2,048 bytes.
	maxDatagram = 2048
	// maxStream is the longest message over TCP and TLS: rsyslog's 8k, beyond
	// which it makes two of one where nothing else is said, are 8,096 bytes.
	maxStream = 8000
	// maxLocal is the longest datagram on /dev/log, for the same reason.
	maxLocal = 8000
	// sdID is the name of our structured data. 32473 is the private enterprise
	// number that RFC 5612 sets aside for documentation: we have none yet.
	sdID = "sonde@32473"
	// maxParam is the longest value of one structured-data parameter in bytes
	// before escaping: thirty of them and the header fit in maxDatagram in all
	// but hostile cases, where whole parameters are left out.
	maxParam = 128
	// maxStreamParam is the same where messages may be longer: as long as the
	// inventory keeps any name.
	maxStreamParam = 512
)

// syslogLevel is the severity of RFC 5424 section 6.2.1.
func syslogLevel(s event.Severity) int {
	switch s { //exhaustive:enforce
	case event.Notice:
		return 5
	case event.Warning:
		return 4
	case event.Error:
		return 3
	case event.Info:
	}
	return 6
}

// priority is the PRI value of RFC 5424 section 6.2.1.
func priority(facility int, s event.Severity) int { return facility*8 + syslogLevel(s) }

// A header is what all syslog messages of one sink begin with.
type header struct {
	facility int
	host     string
	pid      int
	full     string // where the whole event is found, "" for nowhere
}

// appendRFC5424 appends the event as one syslog message of at most most bytes.
// Its structured data carries id and seq, by which the full line is found in
// the file that "full" names and in `sonde events`. In the format sonde it
// carries the fields of the event too, and the body is a sentence; in the
// others the body is the event in that format.
func appendRFC5424(dst []byte, h *header, f Format, r *Record, most int) []byte {
	e, start := &r.Event, len(dst)
	dst = append(dst, '<')
	dst = strconv.AppendInt(dst, int64(priority(h.facility, e.Severity)), 10)
	dst = append(dst, ">1 "...)
	dst = e.Timestamp.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
	dst = append(dst, ' ')
	dst = append(dst, headerField(h.host, 255)...)
	dst = append(dst, " sonde "...)
	dst = strconv.AppendInt(dst, int64(h.pid), 10)
	dst = append(dst, ' ')
	dst = append(dst, headerField(string(e.Action), 32)...)
	dst = append(dst, " ["+sdID...)
	list, value := pointer(e, h.full), maxParam
	if f == Sonde {
		list = append(list, params(e)...)
	}
	if most > maxDatagram {
		value = maxStreamParam
	}
	for _, p := range list {
		if p[1] == "" {
			continue
		}
		// One byte for the closing bracket; the body gets what is left.
		if next := appendParam(nil, p[0], p[1], value); len(dst)-start+len(next)+1 <= most {
			dst = append(dst, next...)
		}
	}
	dst = append(dst, "] "...)
	left := most - (len(dst) - start)
	switch f {
	case ECS:
		return appendECS(dst, r, left)
	case CEF:
		return appendCEF(dst, e, left)
	default:
		return append(dst, cutUTF8(clean(e.Message), left)...)
	}
}

// pointer is by what the full line is found.
func pointer(e *event.Event, full string) [][2]string {
	return [][2]string{{"id", e.ID}, {"seq", strconv.FormatInt(e.Seq, 10)}, {"full", full}}
}

// params lists the rest of the structured data, most needed first.
func params(e *event.Event) [][2]string {
	p := [][2]string{
		{"action", string(e.Action)}, {"severity", string(e.Severity)},
		{"cause", string(e.Cause)}, {"watch", e.Watch}, {"zone", e.Zone},
	}
	if o := e.Endpoint; o != nil {
		p = append(p, [][2]string{
			{"addr", addrText(o.Addr)}, {"port", numberText(int(o.Port))},
			{"transport", string(o.Transport)}, {"tunnel", string(o.Tunnel)},
			{"service", o.Service}, {"product", o.Product}, {"version", o.Version},
			{"info", o.Info}, {"hostname", o.Hostname},
		}...)
	}
	p = append(p, [][2]string{
		{"mac", e.MAC}, {"expected", expectedText(e)}, {"owner", e.Owner},
		{"change_kind", string(e.ChangeKind)}, {"changed", strings.Join(e.Changed, ",")},
		{"reason", e.Reason}, {"correlation_id", e.CorrelationID},
	}...)
	if o := e.Previous; o != nil {
		p = append(p, [][2]string{
			{"previous_addr", addrText(o.Addr)}, {"previous_service", o.Service},
			{"previous_product", o.Product}, {"previous_version", o.Version},
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

// numberText gives "" for 0, as an event of a host has no port.
func numberText(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func expectedText(e *event.Event) string {
	if e.Expected == nil {
		return ""
	}
	return strconv.FormatBool(*e.Expected)
}

// appendParam appends ` name="value"` escaped as RFC 5424 section 6.3.3 says.
func appendParam(dst []byte, name, value string, most int) []byte {
	dst = append(dst, ' ')
	dst = append(dst, name...)
	dst = append(dst, '=', '"')
	for _, c := range []byte(cutUTF8(clean(value), most)) {
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

// appendLocal appends the event in the form that syslog(3) writes to /dev/log.
// JSON stands behind the cookie that marks structured logs (CEE).
func appendLocal(dst []byte, h *header, f Format, r *Record) []byte {
	start := len(dst)
	dst = append(dst, '<')
	dst = strconv.AppendInt(dst, int64(priority(h.facility, r.Event.Severity)), 10)
	dst = append(dst, '>')
	dst = r.Event.Timestamp.Local().AppendFormat(dst, time.Stamp)
	dst = append(dst, " sonde["...)
	dst = strconv.AppendInt(dst, int64(h.pid), 10)
	dst = append(dst, "]: "...)
	if f != CEF {
		dst = append(dst, "@cee: "...)
	}
	left := maxLocal - (len(dst) - start)
	switch f {
	case ECS:
		return appendECS(dst, r, left)
	case CEF:
		return appendCEF(dst, &r.Event, left)
	default:
		return appendSonde(dst, r, left)
	}
}
