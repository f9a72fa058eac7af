package route

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The attributes of a neighbour table (include/uapi/linux/neighbour.h).
const (
	ndtaName    = 1
	ndtaThresh1 = 2
	ndtaThresh2 = 3
	ndtaThresh3 = 4
	ndtaConfig  = 5
	ndtaStats   = 7

	ndtcEntries    = 4      // offset in struct ndt_config
	ndtsTableFulls = 10 * 8 // offset in struct ndt_stats
	sizeofNdtMsg   = 4
)

// Neighborhood reads the limits and the fill of the kernel's neighbour table
// for IPv4 or IPv6.
func (t *Table) Neighborhood(v6 bool) (Neighborhood, error) {
	family, name := byte(unix.AF_INET), "arp_cache"
	if v6 {
		family, name = unix.AF_INET6, "ndisc_cache"
	}
	var n Neighborhood
	found := false
	err := t.ask(func() error {
		return t.request(unix.RTM_GETNEIGHTBL, unix.NLM_F_DUMP, fixed{family, 0, 0, 0}).
			ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGHTBL, func(m []byte) bool {
				if got, ok := parseNeighborhood(m, name); ok {
					n, found = got, true
				}
				return true
			})
	})
	switch {
	case err != nil && !errors.Is(err, nl.ErrDumpInterrupted):
		return n, fmt.Errorf("read neighbour table %s: %w", name, err)
	case !found:
		return n, fmt.Errorf("read neighbour table %s: not there", name)
	}
	return n, nil
}

// parseNeighborhood reads the message about the table itself; those about its
// interfaces, which have no limits, are not ok.
func parseNeighborhood(b []byte, want string) (n Neighborhood, ok bool) {
	if len(b) < sizeofNdtMsg {
		return n, false
	}
	var limits int
	named := false
	for kind, v := range attributes(b[sizeofNdtMsg:]) {
		switch {
		case kind == ndtaName:
			named = string(v) == want+"\x00"
		case kind >= ndtaThresh1 && kind <= ndtaThresh3 && len(v) == 4:
			limits++
			*[]*int{&n.Thresh1, &n.Thresh2, &n.Thresh3}[kind-ndtaThresh1] =
				int(binary.NativeEndian.Uint32(v))
		case kind == ndtaConfig && len(v) >= ndtcEntries+4:
			n.Entries = int(binary.NativeEndian.Uint32(v[ndtcEntries:]))
		case kind == ndtaStats && len(v) >= ndtsTableFulls+8:
			n.Fulls = binary.NativeEndian.Uint64(v[ndtsTableFulls:])
		}
	}
	return n, named && limits == 3
}
