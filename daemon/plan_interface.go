package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sonde/capture/route"
	"sonde/config"
)

// interfaceProblems says which interfaces that watches name do not serve on this
// machine, as it is now. Where its routes cannot be read nothing is known.
func (n *network) interfaceProblems(cfg *config.Config) (list []problemPlan) {
	if n.routes == nil {
		return nil
	}
	there, err := n.routes.Interfaces()
	if err != nil {
		return nil
	}
	for i := range cfg.Watches {
		w := &cfg.Watches[i]
		if w.Interface == "" {
			continue
		}
		if why := n.interfaceProblem(cfg, w, there); why != "" {
			list = append(list, problemPlan{w.Name, "interface", w.Interface + " " + why})
		}
	}
	return list
}

// interfaceProblem says what is wrong with the interface of one watch, "" if
// nothing is.
func (n *network) interfaceProblem(cfg *config.Config, w *config.Watch, there []route.Interface) string {
	at := slices.IndexFunc(there, func(l route.Interface) bool { return l.Name == w.Interface })
	switch {
	case at < 0:
		return "is not on this machine"
	case !there[at].Admin:
		return "is down"
	case !there[at].Up:
		return "has no carrier"
	}
	for _, p := range prefixes(cfg.Scope(w)) {
		for s, err := range spans(n.routes, p, w.Interface) {
			if err != nil {
				return fmt.Sprintf("does not lead to %s: %v", s.First, errors.Unwrap(err))
			}
		}
		if p.Addr().Is4() && strictReverse(w.Interface) && n.otherwise(p, w.Interface) {
			return fmt.Sprintf("may hear no answers of %s, as the routes lead there by another one and "+
				"net.ipv4.conf.%s.rp_filter or that of all is 1; set both to 2", p, w.Interface)
		}
	}
	return ""
}

// otherwise says whether the kernel would send to some address of a prefix by
// another interface.
func (n *network) otherwise(p netip.Prefix, via string) bool {
	for s, err := range spans(n.routes, p, "") {
		if err != nil || !s.Hop.Local && s.Hop.Link.Name != via {
			return true
		}
	}
	return false
}

// strictReverse says whether the kernel drops what comes by an interface from an
// address that it would not answer by it (RFC 3704: the larger of two settings is
// 1). Where that cannot be read it is not known, and told as no.
func strictReverse(name string) bool {
	most := 0
	for _, of := range []string{"all", name} {
		text, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv4/conf", of, "rp_filter"))
		if err != nil {
			return false
		}
		n, _ := strconv.Atoi(strings.TrimSpace(string(text))) // 0 is off
		most = max(most, n)
	}
	return most == 1
}
