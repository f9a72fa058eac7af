package session

import (
	"testing"

	"sonde/match"
	"sonde/probes"
)

// TestAgainByOtherAnswers: the answers that other probes drew are matched where no
// hard line explains the evidence: whole ones, in the order asked, by the lists of
// the probe that drew them.
func TestAgainByOtherAnswers(t *testing.T) {
	db := loadText(t, `Probe TCP NULL q||
softmatch soft m|^soft|
match greeting m|^hello$| p/Greeting/
Probe TCP One q|one\r\n|
match one m|^1 (\d)| p/One/ v/$1/
Probe TCP Two q|two\r\n|
softmatch soft m|^2 soft|
match two m|^2$| p/Two/
`)
	answer := func(probe, data string, more int) probes.Answer {
		return probes.Answer{Probe: probe, Data: []byte(data), Length: len(data) + more}
	}
	for _, c := range []struct {
		name     string
		evidence probes.Evidence
		strength probes.Strength
		answers  []probes.Answer
		product  string // "": none of them
		rule     string // with a product: the probe whose answer it was
		unable   bool
	}{
		{name: "the evidence first", evidence: probes.Evidence{Probe: "NULL", Answer: []byte("hello")},
			answers: []probes.Answer{answer("One", "1 2", 0)}, product: "Greeting", rule: "NULL"},
		{name: "another answer", evidence: probes.Evidence{Probe: "NULL", Answer: []byte("who?")},
			answers: []probes.Answer{answer("One", "1", 0), answer("Two", "2", 0)}, product: "Two", rule: "Two"},
		{name: "the first asked", evidence: probes.Evidence{Probe: "NULL", Answer: []byte("soft")},
			answers: []probes.Answer{answer("One", "1 2", 0), answer("Two", "2", 0)}, product: "One", rule: "One"},
		{name: "one that was cut", evidence: probes.Evidence{Probe: "NULL", Answer: []byte("who?")},
			answers: []probes.Answer{answer("One", "1 2", 1)}},
		{name: "by the lists of another probe", evidence: probes.Evidence{Probe: "NULL", Answer: []byte("who?")},
			answers: []probes.Answer{answer("Two", "1 2", 0), answer("Gone", "2", 0)}},
		{name: "a soft line", evidence: probes.Evidence{Probe: "NULL", Answer: []byte("who?")},
			answers: []probes.Answer{answer("Two", "2 soft", 0)}},
		{name: "the evidence was cut", evidence: probes.Evidence{Probe: "NULL", Answer: []byte("who?"), Truncated: true},
			answers: []probes.Answer{answer("Two", "2", 0)}, product: "Two", rule: "Two"},
		{name: "nor does another answer tell", evidence: probes.Evidence{Probe: "NULL", Answer: []byte("who?"), Truncated: true},
			answers: []probes.Answer{answer("Two", "3", 0)}, unable: true},
		{name: "what was known is not guessed anew", evidence: probes.Evidence{Probe: "NULL", Answer: []byte("who?")},
			strength: probes.Hard, answers: []probes.Answer{answer("Two", "2", 0)}},
	} {
		was := probes.Observation{Port: 7, Transport: probes.TCP, Strength: probes.Unmatched, Evidence: &c.evidence, Answers: c.answers}
		if c.strength != "" {
			was.Strength = c.strength
		}
		now, ok := Again(match.NewScratch(), db, &was)
		if ok == c.unable || now.Product != c.product {
			t.Errorf("%s: %t, %q", c.name, ok, now.Product)
		}
		if c.rule != "" && (now.Probe != c.rule || now.Evidence.Probe != c.rule || now.Evidence.Rule == "" || now.Strength != probes.Hard) {
			t.Errorf("%s: probe %s, %s, evidence %+v", c.name, now.Probe, now.Strength, now.Evidence)
		}
		if now.Answers != nil {
			t.Errorf("%s: the answers are kept beside the evidence", c.name)
		}
	}
}
