//go:build integration || lab || bench

package probebench

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// memory gives what this process holds in RAM now, and the most it ever held.
func memory() (nowKiB, peakKiB int) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(status)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &nowKiB)
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &peakKiB)
	}
	return nowKiB, peakKiB
}

// forgetPeak lets the peak of memory begin anew (proc(5), clear_refs).
func forgetPeak() error { return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// descriptors counts what this process has open.
func descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries) - 1 // not the one that reads
}

// processor is the time that this process has computed, in the kernel too.
func processor() time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// manyFiles lets this process open n files, or as many as the hard limit
// allows where not even root may raise it.
func manyFiles(n uint64) error {
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}) == nil {
		return nil
	}
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	l.Cur = min(n, l.Max)
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &l)
}
