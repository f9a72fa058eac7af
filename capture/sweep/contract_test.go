package sweep

import (
	"sonde/capture/link"
	"sonde/capture/onlink"
	"sonde/capture/route"
)

// What sweeps are run with.
var (
	_ Routes    = (*route.Table)(nil)
	_ Neighbors = onlink.Resolver{}
	_ Wire      = (*link.Socket)(nil)
	_ Pacer     = (*Rate)(nil)
	_ HostPacer = (*Hosts)(nil)
)
