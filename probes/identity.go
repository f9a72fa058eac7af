package probes

import (
	"bytes"
	"slices"
	"strings"
)

// An Identity tells those who are asked who asks, where a protocol has a place
// for it: a target's log then names a contact instead of a riddle. The zero
// value tells nothing. Its values must hold no control characters; package
// config refuses them.
type Identity struct {
	Contact   string // mail address: From of HTTP (RFC 9110, section 10.1.2)
	UserAgent string // User-Agent of HTTP (RFC 9110, section 10.1.5)
	EHLOName  string // domain after EHLO, HELO and LHLO (RFC 5321, section 4.1.1.1)
}

// Apply gives a payload with the identity in it, and with host, a name or
// an address that may be in its URI form ("[2001:db8::1]") already, as the
// Host of an HTTP request where it is not "". Each field that is there is
// replaced where it stands, each other is added behind the rest; all other
// bytes stay.
//
// A payload without a place for any of it is returned as the same slice. It is
// never changed in place.
func (id Identity) Apply(payload []byte, host string) []byte {
	if rest, ok := heloName(payload); ok && id.EHLOName != "" {
		verb := payload[:len(payload)-len(rest)]
		return slices.Concat(verb, []byte(id.EHLOName), rest[bytes.IndexByte(rest, '\r'):])
	}
	if !isHTTPRequest(payload) {
		return payload
	}
	out := payload
	for _, f := range []struct{ name, value string }{
		{"Host", hostField(host)},
		{"User-Agent", id.UserAgent},
		{"From", id.Contact},
	} {
		if f.value != "" {
			out = withField(out, f.name, f.value)
		}
	}
	return out
}

// heloName finds the domain of a greeting that is one line, and gives all from
// there on.
func heloName(payload []byte) (rest []byte, ok bool) {
	for _, verb := range []string{"EHLO ", "HELO ", "LHLO "} {
		if len(payload) > len(verb) && strings.EqualFold(string(payload[:len(verb)]), verb) {
			rest = payload[len(verb):]
			return rest, bytes.IndexByte(rest, '\r') > 0
		}
	}
	return nil, false
}

// httpMethods are those that a probe asks with. The requests of SSDP are in
// the form of HTTP too, but their Host is the group that they are sent to.
var httpMethods = []string{"GET", "HEAD", "OPTIONS", "POST"}

// isHTTPRequest tells whether a payload begins with a whole header of an
// HTTP/1 request.
func isHTTPRequest(payload []byte) bool {
	line, _, ok := bytes.Cut(payload, []byte("\r\n"))
	method, rest, _ := bytes.Cut(line, []byte(" "))
	_, version, _ := bytes.Cut(rest, []byte(" "))
	return ok && slices.Contains(httpMethods, string(method)) &&
		(string(version) == "HTTP/1.0" || string(version) == "HTTP/1.1") &&
		bytes.Contains(payload, []byte("\r\n\r\n"))
}

// withField gives a request with one header field set. Of several of that name
// the first is set and the others stay, as they are the payload's own.
func withField(request []byte, name, value string) []byte {
	end := bytes.Index(request, []byte("\r\n\r\n")) + len("\r\n")
	at := bytes.IndexByte(request, '\n') + 1
	for at < end {
		line := request[at : at+bytes.IndexByte(request[at:], '\n')+1]
		if len(line) > len(name) && line[len(name)] == ':' && strings.EqualFold(string(line[:len(name)]), name) {
			return slices.Concat(request[:at], []byte(name+": "+value+"\r\n"), request[at+len(line):])
		}
		at += len(line)
	}
	return slices.Concat(request[:end], []byte(name+": "+value+"\r\n"), request[end:])
}

// hostField gives the value of Host, or "" for what none can hold: a name may
// come from a certificate or a name server, and so from the target. It brackets
// an IPv6 address and leaves its zone out, which means something to its own
// host only (RFC 3986, section 3.2.2).
func hostField(host string) string {
	if strings.ContainsFunc(host, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return ""
	}
	if !strings.Contains(host, ":") || strings.HasPrefix(host, "[") {
		return host
	}
	addr, _, _ := strings.Cut(host, "%")
	return "[" + addr + "]"
}
