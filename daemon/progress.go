package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/mattn/go-isatty"

	"sonde/daemon/internal/scan"
)

// progressEvery is how often the progress line is written.
const progressEvery = 500 * time.Millisecond

// isTerminal tells whether a person may watch what is written to w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd()) && os.Getenv("TERM") != "dumb"
}

// showProgress keeps a line on a terminal up to date until the function that
// it returns is called; that one wipes the line. Elsewhere it writes nothing.
func showProgress(w io.Writer, p *scan.Progress, start time.Time) (done func()) {
	if !isTerminal(w) {
		return func() {}
	}
	return keepLine(w, func() string { return progressLine(p, time.Since(start)) })
}

// keepLine writes the line now and then, over the one before, and wipes it
// when the function that it returns is called.
func keepLine(w io.Writer, line func() string) (done func()) {
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		t := time.NewTicker(progressEvery)
		defer t.Stop()
		for {
			select {
			case <-stop:
				fmt.Fprint(w, "\r\x1b[K")
				return
			case <-t.C:
				fmt.Fprintf(w, "\r\x1b[K%s", line())
			}
		}
	})
	return func() { close(stop); running.Wait() }
}

func progressLine(p *scan.Progress, took time.Duration) string {
	asked, open, visits := p.Asked.Load(), p.Open.Load(), p.Visits.Load()
	share := 100 * float64(asked) / float64(max(1, p.Ports))
	line := fmt.Sprintf("%.0f s: %d of %d ports asked (%.0f %%), %d open, %d identified",
		took.Seconds(), asked, p.Ports, share, open, visits)
	if asked > 0 && asked < p.Ports {
		left := time.Duration(float64(took) / float64(asked) * float64(p.Ports-asked))
		line += fmt.Sprintf(", about %s left", left.Round(time.Second))
	}
	return line
}
