package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sonde/config"
	"sonde/probes/ports"
)

// resolveTimeout bounds one look-up of a target's name.
const resolveTimeout = 10 * time.Second

// targets are the addresses of a one-shot command.
type targets struct {
	addrs  config.AddrSet
	config *config.Config          // of which the targets are the only watch
	names  map[netip.Addr][]string // as the user wrote them
}

// targetOptions say which of the addresses are meant.
type targetOptions struct {
	files      []targetLine // targets of files, beside those of the command line
	exclude    []string
	unwanted   []targetLine   // excludes of files
	excluded   config.AddrSet // of the sensor's configuration
	only4      bool
	only6      bool
	authorised bool
	lookup     func(ctx context.Context, name string) ([]netip.Addr, error)
}

// resolveTargets reads addresses, CIDR prefixes, runs and host names. What is
// excluded is left out; it is an error when nothing is left.
func resolveTargets(ctx context.Context, args []string, opt targetOptions) (targets, error) {
	t := targets{names: map[netip.Addr][]string{}}
	var ranges, excluded []config.Range
	for _, arg := range args {
		rs, err := t.one(ctx, arg, opt.lookup)
		if err != nil {
			return t, err
		}
		ranges = append(ranges, rs...)
	}
	for _, l := range opt.files {
		rs, err := t.one(ctx, l.text, opt.lookup)
		if err != nil {
			return t, fmt.Errorf("%s: %w", l.at, err)
		}
		ranges = append(ranges, rs...)
	}
	ranges = slices.DeleteFunc(ranges, func(r config.Range) bool {
		return opt.only4 && !r.First.Is4() || opt.only6 && r.First.Is4()
	})
	if err := config.CheckTargets(ranges, opt.authorised); err != nil {
		return t, fmt.Errorf("targets: %s",
			strings.ReplaceAll(err.Error(), "i_am_authorised", "--i-am-authorised"))
	}
	for _, text := range opt.exclude {
		for item := range strings.SplitSeq(text, ",") {
			r, err := config.ParseRange(strings.TrimSpace(item))
			if err != nil {
				return t, usageError{fmt.Errorf("--exclude: %w", err)}
			}
			excluded = append(excluded, r)
		}
	}
	for _, l := range opt.unwanted {
		rs, err := unwantedRanges(l.text)
		if err != nil {
			return t, fmt.Errorf("%s: %w", l.at, err)
		}
		excluded = append(excluded, rs...)
	}
	excluded = append(excluded, opt.excluded.Ranges()...)
	t.config = &config.Config{Excluded: config.NewAddrSet(excluded...), Watches: []config.Watch{{Targets: ranges}}}
	t.addrs = t.config.Scope(&t.config.Watches[0])
	if t.addrs.Len() == 0 {
		return t, fmt.Errorf("targets: nothing is left of %s after --exclude, "+
			"the excludes of the configuration, and -4 or -6; loosen one of these", shortList(shown(args, opt.files)))
	}
	return t, nil
}

// gate gives what may be asked of the targets.
func (t *targets) gate(list ports.List) *config.Gate {
	c := *t.config
	w := c.Watches[0]
	w.TCPPorts, w.UDPPorts = list.TCP, list.UDP
	c.Watches = []config.Watch{w}
	return c.Gate()
}

// one reads one argument.
func (t *targets) one(ctx context.Context, arg string,
	lookup func(context.Context, string) ([]netip.Addr, error)) ([]config.Range, error) {
	if r, err := config.ParseTarget(arg); err == nil {
		return []config.Range{r}, nil
	} else if list, ok := octetRanges(arg); ok && len(list) > 0 && strings.ContainsAny(arg, "-,*") {
		for _, r := range list {
			if _, err := config.ParseTarget(r.First.String() + "-" + r.Last.String()); err != nil {
				return nil, usageError{fmt.Errorf("target %q: its part %w", arg, err)}
			}
		}
		return list, nil
	} else if !isHostName(arg) {
		// The remark is true of configurations, where ParseTarget is at home.
		return nil, usageError{fmt.Errorf("target: %s",
			strings.ReplaceAll(err.Error(), " (names are not looked up)", ""))}
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addrs, err := lookup(ctx, arg)
	if err != nil {
		return nil, fmt.Errorf("target %q: %w; write its address instead, or mend the name", arg, err)
	}
	var out []config.Range
	for _, a := range addrs {
		a = a.Unmap()
		if _, err := config.ParseTarget(a.String()); err != nil {
			return nil, fmt.Errorf("target %q: its address %w", arg, err)
		}
		out = append(out, config.Range{First: a, Last: a})
		if !slices.Contains(t.names[a], arg) {
			t.names[a] = append(t.names[a], arg)
		}
	}
	return out, nil
}

// unwantedRanges reads one exclude of a file.
func unwantedRanges(s string) ([]config.Range, error) {
	r, err := config.ParseRange(s)
	if err == nil {
		return []config.Range{r}, nil
	}
	if list, ok := octetRanges(s); ok {
		return list, nil
	}
	return nil, err
}

// shown gives the targets as they were written.
func shown(args []string, files []targetLine) []string {
	out := slices.Clone(args)
	for _, l := range files {
		out = append(out, l.text)
	}
	return out
}

// shortList joins the first few.
func shortList(args []string) string {
	const most = 5
	if len(args) <= most {
		return strings.Join(args, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(args[:most], " "), len(args)-most)
}

// lookup asks the system's resolver.
func lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
}

// isHostName tells a name from a mistyped address: letters, digits, hyphens
// and underscores between dots, and a letter in the last label, as in all that
// the name system knows.
func isHostName(s string) bool {
	const most = 253 // RFC 1035 section 2.3.4, without the length bytes
	isLetter := func(c rune) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
	strange := func(c rune) bool {
		return !isLetter(c) && !(c >= '0' && c <= '9') && !strings.ContainsRune("-._", c)
	}
	last := s[strings.LastIndexByte(strings.TrimSuffix(s, "."), '.')+1:]
	return len(s) <= most && !strings.ContainsFunc(s, strange) && strings.ContainsFunc(last, isLetter)
}
