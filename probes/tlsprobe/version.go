package tlsprobe

import "crypto/tls"

// Versions that crypto/tls does not speak or that are not its business.
const (
	VersionSSL20  = 0x0002
	VersionSSL30  = 0x0300
	VersionDTLS10 = 0xfeff // RFC 4347
	VersionDTLS12 = 0xfefd // RFC 6347
	VersionDTLS13 = 0xfefc // RFC 9147

	// versionDTLSOld is what OpenSSL spoke before RFC 4347, and some VPN
	// servers still do.
	versionDTLSOld = 0x0100
)

// VersionName gives "SSLv2", "SSLv3", "TLS 1.0" … "DTLS 1.2", or the number
// as crypto/tls writes it ("0x0305").
func VersionName(v uint16) string {
	switch v {
	case VersionSSL20:
		return "SSLv2"
	case versionDTLSOld:
		return "DTLS 0.9"
	case VersionDTLS10:
		return "DTLS 1.0"
	case VersionDTLS12:
		return "DTLS 1.2"
	case VersionDTLS13:
		return "DTLS 1.3"
	}
	return tls.VersionName(v)
}
