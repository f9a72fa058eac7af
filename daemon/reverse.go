package main

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"sonde/daemon/internal/report"
)

// What looking up names may take: a resolver of this machine or of its network
// answers within milliseconds, and one that does not must not hold a scan up.
const (
	reverseTimeout = 3 * time.Second
	reverseAtOnce  = 32
	maxReverse     = 8 // names of one address that are kept
)

// nameHosts asks for the names of hosts by address. What has none, or is not
// answered in time, stays without.
func nameHosts(ctx context.Context, hosts []report.Host, look func(context.Context, netip.Addr) []string) {
	var asking sync.WaitGroup
	slots := make(chan struct{}, reverseAtOnce)
	for i := range hosts {
		slots <- struct{}{}
		asking.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, reverseTimeout)
			defer cancel()
			hosts[i].PTR = look(ctx, hosts[i].Addr)
		})
	}
	asking.Wait()
}

// reverseLookup asks the system's resolver.
func reverseLookup(ctx context.Context, a netip.Addr) []string {
	names, err := net.DefaultResolver.LookupAddr(ctx, a.WithZone("").String())
	if err != nil {
		return nil
	}
	for i, n := range names {
		names[i] = strings.TrimSuffix(n, ".")
	}
	return names[:min(len(names), maxReverse)]
}
