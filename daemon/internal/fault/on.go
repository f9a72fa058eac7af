//go:build faultpoints

package fault

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// hangs after a point's name makes it hang instead of kill.
const hangs = ":hang"

// Enabled tells whether the points were compiled in.
const Enabled = true

// armed is the point named by the environment, read at the first call. left
// counts the passes until it strikes; 0 means none is armed.
var armed struct {
	sync.Mutex
	read bool
	name string
	left int
	hang bool
}

// Point kills the process when name is armed and its turn has come, or lets the
// caller hang for ever if that was asked for.
func Point(name string) {
	armed.Lock()
	defer armed.Unlock()
	if !strike(name) {
		return
	}
	if armed.left--; armed.left > 0 {
		return
	}
	if armed.hang {
		armed.Unlock()
		select {}
	}
	p, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		panic(fmt.Sprintf("fault %s: kill self: %v", name, err))
	}
	select {} // the signal is on its way: not one instruction more
}

// Armed counts a pass and tells whether its turn has come, for code that has
// to prepare a half-done state before it calls Point, and calls it then only.
func Armed(name string) bool {
	armed.Lock()
	defer armed.Unlock()
	if !strike(name) {
		return false
	}
	if armed.left > 1 {
		armed.left--
		return false
	}
	return true
}

// strike tells whether name is the armed point. The caller holds the lock.
func strike(name string) bool {
	if !armed.read {
		armed.read = true
		var value string
		value, armed.hang = strings.CutSuffix(os.Getenv(Variable), hangs)
		armed.name, armed.left = parse(value)
	}
	return armed.left > 0 && armed.name == name
}

// parse reads "name" or "name:n". A mistake in a test's own variable must not
// pass as a crash that never came, so it panics.
func parse(s string) (name string, n int) {
	if s == "" {
		return "", 0
	}
	name, count, found := strings.Cut(s, ":")
	n = 1
	if found {
		var err error
		if n, err = strconv.Atoi(count); err != nil || n < 1 {
			panic(fmt.Sprintf("%s=%q: want name or name:n with n from 1", Variable, s))
		}
	}
	if !slices.Contains(Names(), name) {
		panic(fmt.Sprintf("%s=%q: no such point", Variable, s))
	}
	return name, n
}
