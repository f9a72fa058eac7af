package tlsprobe

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"sonde/probes"
)

// MaxName bounds each name taken from a certificate or an error: a DNS name
// has at most 253 bytes, and eight attributes of RFC 5280's upper bound of 64
// fill 512.
const MaxName = 512

// Certificate reads the facts of a DER certificate. SANs are DNS names,
// addresses, mail addresses and URIs, in this order.
//
// Of one that crypto/x509 refuses, Error says why, and the other facts are
// what can be read of it all the same, at least the hash.
func Certificate(der []byte) *probes.Certificate {
	sum := sha256.Sum256(der)
	facts := &probes.Certificate{SHA256: hex.EncodeToString(sum[:])}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		facts.Error = printable(err.Error(), MaxName)
		lenient(facts, der)
		return facts
	}
	facts.Subject = nameText(cert.Subject)
	facts.Issuer = nameText(cert.Issuer)
	facts.NotBefore = cert.NotBefore.UTC()
	facts.NotAfter = cert.NotAfter.UTC()
	facts.Key = keyName(cert)
	setSANs(facts, cert)
	return facts
}

func keyName(cert *x509.Certificate) string {
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	if cert.PublicKeyAlgorithm == x509.UnknownPublicKeyAlgorithm {
		return "unknown"
	}
	return cert.PublicKeyAlgorithm.String()
}

func setSANs(facts *probes.Certificate, cert *x509.Certificate) {
	add := func(name string) {
		facts.SANsCount++
		if len(facts.SANs) < probes.MaxSANs {
			facts.SANs = append(facts.SANs, printable(name, MaxName))
		}
	}
	for _, name := range cert.DNSNames {
		add(name)
	}
	for _, ip := range cert.IPAddresses {
		add(ip.String())
	}
	for _, mail := range cert.EmailAddresses {
		add(mail)
	}
	for _, uri := range cert.URIs {
		add(uri.String())
	}
}

// printable cuts s to limit bytes and replaces each byte that is not
// printable ASCII by '.'.
func printable(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	out := []byte(s)
	for i, c := range out {
		if c < 0x20 || c > 0x7e {
			out[i] = '.'
		}
	}
	return string(out)
}

// sentName is the name that crypto/tls will put into the hello: none for an
// address (RFC 6066 section 3), and without a root dot.
func sentName(name string) string {
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return ""
	}
	return strings.TrimSuffix(name, ".")
}
