package tlsprobe

import (
	"net"
	"strings"

	"sonde/probes"
)

// A witness reads along what the peer says in clear: crypto/tls keeps to
// itself what it refuses.
type witness struct {
	net.Conn
	reader Reader
}

// Read implements net.Conn.
func (w *witness) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.reader.Feed(b[:n])
	return n, err
}

// complete adds to the facts of a failed handshake what crypto/tls saw but did
// not tell.
//
// When it gave up at the ServerHello, it depends on the network whether the
// certificate had come already: then it is left out, and the next hello shows
// it for certain.
func (w *witness) complete(facts *probes.TLSFacts, err error) {
	seen := w.reader.Result(nil).Facts
	if facts.Version == "" {
		facts.Version, facts.Cipher = seen.Version, seen.Cipher
	}
	if facts.ALPN == "" {
		facts.ALPN = seen.ALPN
	}
	if facts.Certificate == nil && (brokeOff(err) || strings.Contains(facts.Alert, "certificate")) {
		facts.Certificate = seen.Certificate
		if facts.ClientCert == "" {
			facts.ClientCert = seen.ClientCert
		}
	}
}
