package inventory

import "strings"

// answerMark is what each answer of a fingerprint begins with.
const answerMark = "%r("

// fuller chooses between two fingerprints of an identity that is still not
// explained: the later one, if it shows other answers and not fewer. Its header
// has the time of the visit, which alone is no reason to write it anew; and a
// visit that was remembered, or cut short, asks less than the first look.
func fuller(known, seen string) string {
	if seen == "" || answersOf(seen) == answersOf(known) ||
		strings.Count(seen, answerMark) < strings.Count(known, answerMark) {
		return known
	}
	return seen
}

// answersOf leaves out the header.
func answersOf(fingerprint string) string {
	_, answers, _ := strings.Cut(fingerprint, answerMark)
	return answers
}
