package ports

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
)

// registryText has a line "port name" for each registration, in ascending
// order, with "/tcp" or "/udp" behind the name where only one transport has it.
//
//go:embed registry.txt
var registryText string

// A registrations has the registered names of both transports, each in
// ascending order of the ports.
type registrations struct{ tcp, udp []entry }

// registry is read when somebody first asks for it: 11,000 names take 260 KiB.
var registry = sync.OnceValue(func() registrations { return readRegistry(registryText) })

// readRegistry reads what the tests hold to be well formed.
func readRegistry(text string) (r registrations) {
	for line := range strings.Lines(text) {
		number, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		port, err := strconv.ParseUint(number, 10, 16)
		if !ok || err != nil {
			continue // a comment
		}
		name, only, _ := strings.Cut(name, "/")
		if only != UDP {
			r.tcp = append(r.tcp, entry{uint16(port), name})
		}
		if only != TCP {
			r.udp = append(r.udp, entry{uint16(port), name})
		}
	}
	return r
}

func registered(transport string) []entry {
	switch transport {
	case TCP:
		return registry().tcp
	case UDP:
		return registry().udp
	}
	return nil
}
