package report

import (
	"fmt"
	"strings"

	"sonde/probes"
	"sonde/probes/fingerprint"
)

// maxFingerprints is how many fingerprints are shown of one host: of one that
// answers at every port alike, more tell nothing more.
const maxFingerprints = 9

// writeFingerprints shows what no signature explains, and says what to do with
// it.
func writeFingerprints(b *strings.Builder, ports []probes.Observation, submitTo string) {
	var unknown []string
	for i := range ports {
		if f := ports[i].Fingerprint; f != "" {
			unknown = append(unknown, f)
		}
	}
	if len(unknown) == 0 {
		return
	}
	n := len(unknown)
	fmt.Fprintf(b, "\n%s what no signature explains. Write a signature from the text below, "+
		"or hand it in: %s\nIt may name the host; --scrub hides that.\n",
		Plural(n, "service answers", "services answer"), Printable(submitTo))
	for _, f := range unknown[:min(n, maxFingerprints)] {
		fmt.Fprintf(b, "%s\n", fingerprint.Wrap(Printable(f)))
	}
	if n > maxFingerprints {
		fmt.Fprintf(b, "Not shown: %s; -o json has all.\n",
			Plural(n-maxFingerprints, "other fingerprint", "other fingerprints"))
	}
}
