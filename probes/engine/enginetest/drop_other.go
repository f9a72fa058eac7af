//go:build !unix

package enginetest

import (
	"net/netip"
	"testing"
)

// fullListener needs a listener that never accepts.
func fullListener(t *testing.T) netip.AddrPort {
	t.Skip("skipped: no way here to a listener with a full backlog")
	return netip.AddrPort{}
}
