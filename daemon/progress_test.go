package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sonde/daemon/internal/scan"
)

func TestProgressLine(t *testing.T) {
	for _, tt := range []struct {
		ports               int64
		asked, open, visits int64
		took                time.Duration
		want                string
	}{
		{0, 0, 0, 0, 0, "0 s: 0 of 0 ports asked (0 %), 0 open, 0 identified"},
		{1000, 0, 0, 0, 2 * time.Second, "2 s: 0 of 1000 ports asked (0 %), 0 open, 0 identified"},
		{1000, 250, 3, 1, 10 * time.Second,
			"10 s: 250 of 1000 ports asked (25 %), 3 open, 1 identified, about 30s left"},
		{1000, 1000, 3, 2, 41 * time.Second, "41 s: 1000 of 1000 ports asked (100 %), 3 open, 2 identified"},
	} {
		p := &scan.Progress{Ports: tt.ports}
		p.Asked.Store(tt.asked)
		p.Open.Store(tt.open)
		p.Visits.Store(tt.visits)
		if got := progressLine(p, tt.took); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestKeepLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		n := 0
		done := keepLine(&b, func() string { n++; return strings.Repeat("x", n) })
		time.Sleep(2*progressEvery + progressEvery/2)
		done()
		if got, want := b.String(), "\r\x1b[Kx\r\x1b[Kxx\r\x1b[K"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestNoProgressIntoAFile(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	synctest.Test(t, func(*testing.T) {
		done := showProgress(f, &scan.Progress{Ports: 1}, time.Now())
		time.Sleep(3 * progressEvery)
		done()
	})
	if st, err := f.Stat(); err != nil || st.Size() != 0 {
		t.Errorf("%d bytes in the file, %v", st.Size(), err)
	}
}
