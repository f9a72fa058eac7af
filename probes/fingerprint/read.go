package fingerprint

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"sonde/probes"
)

// errForm is of a text that no Collector wrote.
var errForm = errors.New("not in the form of a fingerprint")

// answerMark is what an answer begins with. Inside of one its last character is
// escaped.
const answerMark = "%r("

// Answers gives what a text in one line shows, in the order in which it was
// asked: each answer as it was, up to [MaxData] bytes of it. full says that the
// text had no room for more, if more was drawn. Without a text there are none.
//
// The texts do not tell TLS from DTLS, and a probe by its name in ASCII alone.
func Answers(text string) (list []probes.Answer, full bool, err error) {
	if text == "" {
		return nil, false, nil
	}
	head, rest, found := strings.Cut(strings.TrimSuffix(text, ";"), answerMark)
	if !found || !strings.HasPrefix(head, "SF-Port") {
		return nil, false, errForm
	}
	tunnel := probes.NoTunnel
	if strings.Contains(head, "%T=SSL%") {
		tunnel = probes.TLS
		if strings.Contains(head, "-UDP:") {
			tunnel = probes.DTLS
		}
	}
	for n := 1; found; n++ {
		var one string
		one, rest, found = strings.Cut(rest, answerMark)
		a, err := readAnswer(one)
		if err != nil {
			return nil, false, fmt.Errorf("answer %d: %w", n, err)
		}
		a.Tunnel = tunnel
		list = append(list, a)
	}
	return list, wrapped(len(text)-len(";")) > MaxText, nil
}

// readAnswer reads "NAME,LENGTH,"DATA")".
func readAnswer(s string) (a probes.Answer, err error) {
	name, s, _ := strings.Cut(s, ",")
	length, s, _ := strings.Cut(s, ",")
	n, err := strconv.ParseUint(length, 16, 31)
	quoted, ok := strings.CutPrefix(s, `"`)
	data, ends := strings.CutSuffix(quoted, `")`)
	if err != nil || name == "" || !ok || !ends {
		return a, errForm
	}
	a = probes.Answer{Probe: name, Length: int(n)}
	if a.Data, err = unescape(data); err != nil {
		return a, err
	}
	if len(a.Data) == 0 || len(a.Data) > min(a.Length, MaxData) {
		return a, errForm
	}
	return a, nil
}

// unescape undoes appendEscaped.
func unescape(s string) ([]byte, error) {
	out := make([]byte, 0, len(s))
	for len(s) > 0 {
		if s[0] == '"' {
			return nil, errForm
		}
		if s[0] != '\\' {
			out, s = append(out, s[0]), s[1:]
			continue
		}
		if len(s) < 2 {
			return nil, errForm
		}
		c := s[1]
		switch s = s[2:]; c {
		case '0':
			c = 0
		case 'r':
			c = '\r'
		case 'n':
			c = '\n'
		case 't':
			c = '\t'
		case 'x':
			if len(s) < 2 {
				return nil, errForm
			}
			b, err := strconv.ParseUint(s[:2], 16, 8)
			if err != nil {
				return nil, errForm
			}
			c, s = byte(b), s[2:]
		}
		out = append(out, c)
	}
	return out, nil
}
