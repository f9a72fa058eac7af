package emit

import (
	"strconv"
	"strings"
	"time"

	"sonde/probes"
)

type (
	ecsTLS struct {
		Version         string        `json:"version,omitempty"`
		VersionProtocol string        `json:"version_protocol,omitempty"`
		Cipher          string        `json:"cipher,omitempty"`
		NextProtocol    string        `json:"next_protocol,omitempty"`
		Established     bool          `json:"established"`
		Client          *ecsTLSClient `json:"client,omitempty"`
		Server          *ecsTLSServer `json:"server,omitempty"`
	}
	ecsTLSClient struct {
		ServerName string `json:"server_name"`
	}
	ecsTLSServer struct {
		Subject   string     `json:"subject,omitempty"`
		Issuer    string     `json:"issuer,omitempty"`
		NotBefore *time.Time `json:"not_before,omitempty"`
		NotAfter  *time.Time `json:"not_after,omitempty"`
		Hash      *ecsHash   `json:"hash,omitempty"`
		X509      *ecsX509   `json:"x509,omitempty"`
	}
	ecsHash struct {
		SHA256 string `json:"sha256"`
	}
	ecsX509 struct {
		AlternativeNames []string `json:"alternative_names,omitempty"`
		Algorithm        string   `json:"public_key_algorithm,omitempty"`
		Size             int      `json:"public_key_size,omitempty"`
		Curve            string   `json:"public_key_curve,omitempty"`
	}
)

// ecsTLSOf maps the first handshake; all of them stand in sonde.endpoint.tls.
func ecsTLSOf(t *probes.TLSFacts) *ecsTLS {
	out := &ecsTLS{Cipher: t.Cipher, NextProtocol: t.ALPN, Established: t.Version != "" && t.Alert == ""}
	// "TLS 1.3", "DTLS 1.2", "SSLv3"
	if name, number, ok := strings.Cut(t.Version, " "); ok {
		out.VersionProtocol, out.Version = strings.ToLower(name), number
	} else if number, ok := strings.CutPrefix(t.Version, "SSLv"); ok {
		out.VersionProtocol, out.Version = "ssl", number
	}
	if t.Name != "" {
		out.Client = &ecsTLSClient{t.Name}
	}
	if c := t.Certificate; c != nil {
		out.Server = ecsCertificate(c)
	}
	return out
}

func ecsCertificate(c *probes.Certificate) *ecsTLSServer {
	s := &ecsTLSServer{Subject: c.Subject, Issuer: c.Issuer,
		NotBefore: ecsTime(c.NotBefore), NotAfter: ecsTime(c.NotAfter)}
	if c.SHA256 != "" {
		s.Hash = &ecsHash{strings.ToUpper(c.SHA256)}
	}
	x := &ecsX509{AlternativeNames: c.SANs}
	// "RSA 2048", "ECDSA P-256", "Ed25519"
	algorithm, size, _ := strings.Cut(c.Key, " ")
	x.Algorithm = algorithm
	if bits, err := strconv.Atoi(size); err == nil {
		x.Size = bits
	} else {
		x.Curve = size
	}
	if len(c.SANs) > 0 || c.Key != "" {
		s.X509 = x
	}
	return s
}

func ecsTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
