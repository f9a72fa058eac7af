package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sonde/probes/ports"
)

// The functions here read one value each. Their errors say what is wrong and
// what to write instead.

// ParseTarget reads what [ParseRange] reads, and refuses what can be no
// target: addresses of no single host, and link-local ones without their
// interface.
func ParseTarget(s string) (Range, error) {
	r, err := ParseRange(s)
	if err != nil {
		return r, err
	}
	for _, n := range notHosts {
		if n.Overlaps(r) {
			return r, fmt.Errorf("%q reaches into %s, which is no address of one host; take it out", s, n)
		}
	}
	if a := r.First; linkLocal6.Contains(a) && a.Zone() == "" {
		return r, fmt.Errorf("%q is link-local; name the interface too, as in %s%%eth0", s, a)
	}
	return r, nil
}

// linkLocal6 needs an interface to be reached (RFC 4007 section 6).
var linkLocal6 = PrefixRange(netip.MustParsePrefix("fe80::/10"))

// notHosts are the addresses of no single host: "this network", multicast and
// reserved (RFC 1112, RFC 6890), unspecified and IPv4-mapped.
var notHosts = []Range{
	PrefixRange(netip.MustParsePrefix("0.0.0.0/8")),
	PrefixRange(netip.MustParsePrefix("224.0.0.0/3")),
	PrefixRange(netip.MustParsePrefix("::/128")),
	{netip.MustParseAddr("::ffff:0:0"), netip.MustParseAddr("::ffff:ffff:ffff")},
	PrefixRange(netip.MustParsePrefix("ff00::/8")),
}

func parsePorts(transport string) func(string) (ports.Set, error) {
	return func(s string) (ports.Set, error) {
		if strings.Trim(s, " \t") == "" {
			return ports.Set{}, nil // none: how a default list is switched off
		}
		set, err := ports.ParseSet(transport, s)
		if err != nil {
			return set, fmt.Errorf("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
		}
		if set.Contains(0) {
			return set, fmt.Errorf("port 0 cannot be reached; take it out")
		}
		return set, nil
	}
}

// parseName reads "name" or "name=address".
func parseName(s string) (Name, error) {
	name, addr, bound := strings.Cut(s, "=")
	n := Name{Name: strings.ToLower(strings.TrimSuffix(name, "."))}
	if !isHostName(n.Name) {
		return n, fmt.Errorf(`%.80q is no host name; write "www.example.org", or "www.example.org=192.0.2.1" for one address`, s)
	}
	if !bound {
		return n, nil
	}
	a, err := parseAddr(addr)
	n.Addr = a
	return n, err
}

// isHostName checks RFC 1123 section 2.1, with the underscore that is found
// in practice.
func isHostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

func parseFile(s string) (string, error) {
	if s == Builtin {
		return s, nil
	}
	return s, checkAbsolute(s)
}

// parseLineID accepts what can be the id of a line; whether a line has it, only
// the files tell.
func parseLineID(s string) (string, error) {
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return "", fmt.Errorf("%.80q is not the id of a line; ids have a-z, 0-9, \".\", \"_\" and \"-\" only", s)
		}
	}
	if s == "" {
		return "", errors.New("an empty id names no line; write the id of one, or remove it")
	}
	return s, nil
}

func parseFacility(s string) (int, error) {
	if i := slices.Index(facilities, s); i >= 0 {
		return i, nil
	}
	return 0, fmt.Errorf("%.80q is no syslog facility; write one of %s", s, strings.Join(facilities, ", "))
}

func oneOf(words ...string) func(string) error {
	return func(s string) error {
		if !slices.Contains(words, s) {
			return fmt.Errorf("%.80q is not known; write one of %s", s, strings.Join(words, ", "))
		}
		return nil
	}
}

func checkFilled(s string) error {
	if strings.TrimSpace(s) == "" || strings.ContainsRune(s, 0) {
		return fmt.Errorf("is empty; write a path, or remove the key for the default")
	}
	return nil
}

// checkAbsolute lets "" pass, which means the default.
func checkAbsolute(s string) error {
	if s != "" && !filepath.IsAbs(s) {
		return fmt.Errorf("%.80q depends on where the program was started; write a path that begins with /", s)
	}
	return nil
}

// checkSensorName accepts what RFC 5424 takes as HOSTNAME, and "" for the
// machine's own name.
func checkSensorName(s string) error {
	if len(s) > 255 || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return fmt.Errorf("%.80q has blanks or other than printable ASCII characters, or more than 255; write a host name", s)
	}
	return nil
}

// checkLabel accepts names of watches and zones, which become part of keys
// and paths in logs.
func checkLabel(s string) error {
	ok := s != "" && len(s) <= 64
	for _, c := range []byte(s) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			c == '-' || c == '_' || c == '.')
	}
	if !ok {
		return fmt.Errorf("%.80q is no name; write 1 to 64 letters, digits, dots, hyphens or underscores", s)
	}
	return nil
}

// Bounds of discovery's source ports. Each port more lets more probes to one
// port of one host be told apart; the kernel holds a socket for each of them,
// of TCP and UDP.
const (
	minSourcePorts = 16
	maxSourcePorts = 4096
)

func parseSourcePorts(s string) (PortRange, error) {
	first, last, _ := strings.Cut(s, "-")
	a, err1 := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
	b, err2 := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
	n := int(b) - int(a) + 1
	if err1 != nil || err2 != nil || a < 1024 || n < minSourcePorts || n > maxSourcePorts {
		return PortRange{}, fmt.Errorf(`%.80q is no range of %d to %d ports from 1024 on; write one like "61000-61255"`,
			s, minSourcePorts, maxSourcePorts)
	}
	return PortRange{uint16(a), uint16(b)}, nil
}

// maxInterface is the longest name that Linux has for an interface (IFNAMSIZ,
// without its terminating zero).
const maxInterface = 15

func parseInterface(s string) (string, error) { return s, checkInterface(s) }

// checkInterface says what is wrong with the name of an interface. Whether there
// is one, only the machine that it is for can say.
func checkInterface(s string) error {
	strange := func(c rune) bool { return c <= ' ' || c > '~' || c == '/' || c == ':' }
	if s == "" || len(s) > maxInterface || s == "." || s == ".." || strings.ContainsFunc(s, strange) {
		return fmt.Errorf(`%.80q is no name of an interface, which has 1 to %d characters; write one like "eth1"`, s, maxInterface)
	}
	return nil
}
