package probes

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// SetHash is the same for databases that send the same: whatever the lines say that
// explain the answers. It is the SHA-256 of the probes in their order, in hex.
func (db *Database) SetHash() string {
	h := sha256.New()
	for _, p := range db.probes {
		fmt.Fprintf(h, "%s %q %q %d %v %v %v %d\n", p.Transport, p.Name, p.Payload, p.SourcePort, p.Needs,
			p.Ports, p.TLSPorts, p.Rarity)
	}
	return hex.EncodeToString(h.Sum(nil))
}
