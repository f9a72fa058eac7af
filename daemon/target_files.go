package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// A targetLine is one item of a file of targets or excludes.
type targetLine struct {
	text string
	at   string // "file:line", for messages
}

// maxTargetFile bounds one file: 64 MiB are four million addresses.
const maxTargetFile = 64 << 20

// readTargetFile reads items that are separated by blanks and line ends; from #
// on a line is a comment. "-" is stdin.
func readTargetFile(name string, stdin io.Reader) (list []targetLine, err error) {
	r, shown := stdin, "stdin"
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r, shown = f, name
	}
	limited := &io.LimitedReader{R: r, N: maxTargetFile + 1}
	lines := bufio.NewScanner(limited)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		for item := range strings.FieldsSeq(text) {
			list = append(list, targetLine{item, fmt.Sprintf("%s:%d", shown, n)})
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("%s: a line has more than %d bytes; write one target per line", shown, bufio.MaxScanTokenSize)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", shown, err)
	case limited.N <= 0:
		return nil, fmt.Errorf("%s: more than 64 MiB; write networks instead of single addresses", shown)
	}
	return list, nil
}
