package fingerprint

import (
	"bytes"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"sonde/probes"
)

// Scrub hides what may name the target or someone there: the given names,
// other host names of three or more labels, mail, IP and MAC addresses, values
// of cookies and of fields that hold secrets, long random-looking words, dates
// and times. Of these each letter becomes 'x' and each digit '0', so that
// length and form stay and a signature can still be written.
//
// It reads text. An address that a protocol carries as binary numbers, or a
// name in an encoding of its own, is not seen; only the given names are found
// in UTF-16 too. Look before sharing.
//
// The result is a copy.
func Scrub(data []byte, names []string) []byte {
	out := bytes.Clone(data)
	for _, name := range names {
		hideName(out, name)
	}
	for _, f := range []func([]byte){hideIPv6, hideTokens} {
		f(out)
	}
	for _, re := range private {
		for _, at := range re.FindAllSubmatchIndex(out, -1) {
			from, to := at[0], at[1]
			if len(at) > 2 {
				from, to = at[2], at[3]
			}
			hide(out[from:to])
		}
	}
	return out
}

// private are texts of a form that is told by itself. Where there is a group,
// only that is hidden.
var private = compile(
	// IPv4, and version numbers of four parts with them.
	`\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b`,
	`\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b`,
	`[\w.+=-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*`,
	`\b[A-Za-z0-9_](?:[\w-]{0,61}\w)?(?:\.[\w-]{1,63})+\.[A-Za-z]{2,24}\b`,
	`(?i)\bcookie2?:[ \t]*[^=;\r\n]{1,80}=([^;\r\n]*)`,
	`(?i)\b(?:nonce|opaque|[\w-]{0,20}token|session[\w-]{0,8}|sid|csrf[\w-]{0,16}|secret|pass(?:word|wd)?|api[_-]?key|etag|serial(?:[ _-]?n(?:o|umber|r))?)["']?[ \t]{0,4}[=:][ \t]{0,4}(?:W/)?["']?([^"'\s;,&<>]{3,})`,
	`(?i)\b(?:authorization|x-auth[\w-]{0,20}):[ \t]*([^\r\n]+)`,
	// Dates of RFC 9110 and RFC 5322, ISO 8601, ctime(3), times of day, seconds
	// of the epoch since 2014.
	`(?i)\b\d{1,2}[ -](?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}[ -]\d{2,4}\b`,
	`(?i)\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6} {1,2}\d{1,2}\b(?:,? \d{4}\b)?`,
	`\b(?:19|20)\d\d[-/.]?[01]\d[-/.]?[0-3]\d(?:T\d[\d:]{3,8}|\b)`,
	`\b\d{1,2}:\d\d:\d\d(?:\.\d{1,9})?(?: (?:19|20)\d\d\b)?`,
	`\b1[4-9]\d{8}\b`,
)

func compile(patterns ...string) []*regexp.Regexp {
	out := make([]*regexp.Regexp, len(patterns))
	for i, p := range patterns {
		out[i] = regexp.MustCompile(p)
	}
	return out
}

var (
	maybeIPv6  = regexp.MustCompile(`[0-9A-Fa-f:.]{3,45}`)
	maybeToken = regexp.MustCompile(`[A-Za-z0-9+/_-]{16,}`)
)

func hideIPv6(b []byte) {
	for _, at := range maybeIPv6.FindAllIndex(b, -1) {
		from, to := at[0], at[1]
		if from > 0 && isAlnum(b[from-1]) || to < len(b) && isAlnum(b[to]) {
			continue // part of a word
		}
		// A sentence or a list may go on with the last character.
		for end := to; end >= to-1; end-- {
			if a, err := netip.ParseAddr(string(b[from:end])); err == nil && a.Is6() {
				hide(b[from:end])
				break
			}
		}
	}
}

// hideTokens hides long words in which letters and digits are mixed, as in
// identifiers, hashes and keys.
func hideTokens(b []byte) {
	for _, at := range maybeToken.FindAllIndex(b, -1) {
		w := b[at[0]:at[1]]
		if bytes.ContainsAny(w, "0123456789") && bytes.ContainsFunc(w, isLetter) {
			hide(w)
		}
	}
}

// minName is the length of the shortest name that is looked for: shorter ones
// are in half of all words.
const minName = 3

// kinds are first labels that tell what a host is for. Alone they name nobody,
// and servers use them as words.
var kinds = []string{"www", "web", "mail", "smtp", "imap", "pop", "pop3", "ftp", "sftp", "ssh", "ldap", "dns",
	"vpn", "proxy", "server", "host", "gateway", "router", "printer", "mysql", "redis", "localhost"}

// hideName hides a name, and its first label alone, in any case, as ASCII and
// as UTF-16.
func hideName(b []byte, name string) {
	label, _, _ := strings.Cut(name, ".")
	for _, n := range []string{name, label} {
		if len(n) < minName || slices.Contains(kinds, strings.ToLower(n)) {
			continue
		}
		hideText(b, []byte(n), 1)
		hideText(b, bytes.Join(bytes.Split([]byte(n), nil), []byte{0}), 2)
	}
}

// hideText hides text where no letter or digit stands beside it; width is that
// of a character.
func hideText(b, text []byte, width int) {
	lower, text := asciiLower(b), asciiLower(text)
	for from := 0; ; {
		i := bytes.Index(lower[from:], text)
		if i < 0 {
			return
		}
		first, end := from+i, from+i+len(text)
		after := end + width - 1 // UTF-16 ends with a zero that text lacks
		if !(first >= width && isAlnum(b[first-width])) && !(after < len(b) && isAlnum(b[after])) {
			hide(b[first:end])
		}
		from = first + 1
	}
}

func isAlnum(c byte) bool { return isDigit(c) || isLetter(rune(c)) }

// asciiLower keeps the length, as bytes.ToLower does not.
func asciiLower(b []byte) []byte {
	out := bytes.Clone(b)
	for i, c := range out {
		if 'A' <= c && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return out
}

func hide(b []byte) {
	for i, c := range b {
		switch {
		case isDigit(c):
			b[i] = '0'
		case isLetter(rune(c)):
			b[i] = 'x'
		}
	}
}

func isLetter(c rune) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// namesOf gives the names of the target that an observation tells.
func namesOf(o *probes.Observation) []string {
	names := append([]string{o.Hostname}, o.Names...)
	for _, t := range o.TLS {
		names = append(names, t.Name)
		if t.Certificate != nil {
			for _, s := range t.Certificate.SANs {
				names = append(names, strings.TrimPrefix(s, "*."))
			}
		}
	}
	return names
}
