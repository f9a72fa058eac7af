package draft

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"sonde/match"
	"sonde/probes"
)

// ruleFor generalises an answer to a rule with an id that the database lacks.
func ruleFor(a *Answer, db *probes.Database) match.Rule {
	r := match.Rule{Service: a.Service}
	if before, text := head(a.Data); text != nil {
		f := generalise(text)
		r.Pattern = before + f.pattern
		r.Fields = match.Fields{Product: f.product, Version: f.version, Hostname: f.hostname}
	} else {
		r.Pattern, r.DotAll = "^"+literal(a.Data[:min(len(a.Data), maxBinary)]), true
	}
	if r.Service == "" {
		r.Service = guessService(a.Data)
	}
	r.ID = freeID(db, "local-"+slug(r.Service+" "+r.Fields.Product))
	return r
}

// headerSkip passes a status line of HTTP and the fields before the one that
// counts: which these are, and in what order, changes with what is asked.
const headerSkip = `^HTTP/1\.[01] \d\d\d[^\r\n]*\r?\n(?:[^\r\n]+\r?\n)*?`

// head gives what names the product in an answer of text, and a pattern for
// what stands before it: of HTTP the Server field, of others the first line.
// The text is nil for an answer that is not text.
func head(answer []byte) (before string, text []byte) {
	if at, end, ok := serverField(answer); ok && isText(answer[:end]) {
		return headerSkip, answer[at:min(end, at+maxText)]
	}
	end := bytes.IndexByte(answer, '\n') + 1
	if end == 0 {
		end = len(answer)
	}
	if text = answer[:min(end, maxText)]; !isText(text) {
		return "", nil
	}
	return "^", text
}

var statusLine = regexp.MustCompile(`^HTTP/1\.[01] \d\d\d[^\r\n]*\r?\n`)

// serverField finds the line of an HTTP answer that names the server.
func serverField(answer []byte) (at, end int, ok bool) {
	at = len(statusLine.Find(answer))
	for at > 0 && at < len(answer) {
		end = at + bytes.IndexByte(answer[at:], '\n') + 1
		line := bytes.TrimRight(answer[at:max(at, end)], "\r\n")
		if len(line) == 0 || bytes.IndexByte(line, '\r') >= 0 {
			return 0, 0, false // the body begins, or a line has not ended
		}
		if bytes.HasPrefix(line, []byte("Server:")) {
			return at, end, true
		}
		at = end
	}
	return 0, 0, false
}

func isText(b []byte) bool {
	for _, c := range b {
		if (c < ' ' || c > '~') && c != '\r' && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}

// services tells protocols by how their greetings begin, the first that fits.
var services = []struct{ begins, has, name string }{
	{"HTTP/1.", "", "http"},
	{"RTSP/1.", "", "rtsp"},
	{"SIP/2.0 ", "", "sip"},
	{"SSH-", "", "ssh"},
	{"220", "FTP", "ftp"},
	{"220", "SMTP", "smtp"},
	{"* OK", "", "imap"},
	{"+OK", "", "pop3"},
	{"200 ", "NNTP", "nntp"},
	{"RFB ", "", "vnc"},
	{"-ERR", "", "redis"},
}

// guessService names the protocol of an answer, or says that it is unknown.
func guessService(answer []byte) string {
	first, _, _ := bytes.Cut(answer, []byte("\n"))
	for _, s := range services {
		if bytes.HasPrefix(answer, []byte(s.begins)) &&
			bytes.Contains(bytes.ToUpper(first), []byte(s.has)) {
			return s.name
		}
	}
	return "unknown"
}

// slug makes the letters of an id: "a-z0-9" and single hyphens.
func slug(s string) string {
	var b strings.Builder
	for _, c := range []byte(strings.ToLower(s)) {
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			b.WriteByte(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	return strings.TrimRight(b.String(), "-")
}

// freeID gives the id, or the first with a number behind it that is free.
func freeID(db *probes.Database, id string) string {
	taken := map[string]bool{}
	for r := range db.Rules() {
		taken[r.ID] = true
	}
	free := id
	for n := 2; taken[free]; n++ {
		free = fmt.Sprintf("%s-%d", id, n)
	}
	return free
}
