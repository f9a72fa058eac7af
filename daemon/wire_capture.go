package main

import (
	"errors"
	"log/slog"

	"sonde/capture"
	"sonde/capture/onlink"
	"sonde/capture/route"
)

// A network is this machine's network as discovery uses it. There is one for
// the whole process, over all configurations that it reads.
type network struct {
	routes *route.Table   // nil where they cannot be read
	guard  *capture.Guard // of the kernel's neighbour table; nil without routes
}

// openNetwork begins to follow the routes of this machine, where they can be
// read. Close ends it.
func openNetwork(log *slog.Logger) *network {
	routes, err := route.Open(log)
	if err != nil {
		if !errors.Is(err, route.ErrUnsupported) {
			log.Warn("routes cannot be read; the neighbour table is not kept from being filled", "err", err)
		}
		return &network{}
	}
	return &network{routes, capture.NewGuard(onlink.Kernel{Routes: routes})}
}

// Close ends it.
func (n *network) Close() error {
	if n.routes == nil {
		return nil
	}
	return n.routes.Close()
}
