package tlsprobe

import (
	"encoding/asn1"
	"fmt"
	"math/bits"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// keyAlgorithms names public keys as keyName does, and some that crypto/x509
// does not know.
var keyAlgorithms = map[string]string{
	"1.2.840.113549.1.1.1":  "RSA",
	"1.2.840.113549.1.1.10": "RSA-PSS",
	"1.2.840.10045.2.1":     "ECDSA",
	"1.2.840.10040.4.1":     "DSA",
	"1.2.840.10046.2.1":     "DH",
	"1.3.101.110":           "X25519",
	"1.3.101.111":           "X448",
	"1.3.101.112":           "Ed25519",
	"1.3.101.113":           "Ed448",
	"1.2.643.2.2.19":        "GOST R 34.10-2001",
	"1.2.643.7.1.1.1.1":     "GOST R 34.10-2012 256",
	"1.2.643.7.1.1.1.2":     "GOST R 34.10-2012 512",
}

var curveNames = map[string]string{
	"1.3.132.0.33":          "P-224",
	"1.2.840.10045.3.1.7":   "P-256",
	"1.3.132.0.34":          "P-384",
	"1.3.132.0.35":          "P-521",
	"1.2.840.10045.3.1.1":   "P-192",
	"1.3.132.0.10":          "secp256k1",
	"1.3.36.3.3.2.8.1.1.7":  "brainpoolP256r1",
	"1.3.36.3.3.2.8.1.1.11": "brainpoolP384r1",
	"1.3.36.3.3.2.8.1.1.13": "brainpoolP512r1",
	"1.2.156.10197.1.301":   "SM2",
}

// keyKind words a SubjectPublicKeyInfo: "RSA 2048", "ECDSA P-256", "Ed25519",
// or "unknown".
func keyKind(s cryptobyte.String) string {
	var algorithm, bitString cryptobyte.String
	var id, curve asn1.ObjectIdentifier
	if !s.ReadASN1(&algorithm, der.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&id) {
		return "unknown"
	}
	name, known := keyAlgorithms[id.String()]
	switch {
	case !known:
		return "unknown"
	case name == "ECDSA":
		if !algorithm.ReadASN1ObjectIdentifier(&curve) {
			return name
		}
		if known := curveNames[curve.String()]; known != "" {
			return name + " " + known
		}
		return name + " " + printable(curve.String(), MaxName)
	case name == "RSA" || name == "RSA-PSS":
		if s.ReadASN1(&bitString, der.BIT_STRING) && bitString.Skip(1) {
			if n := modulusBits(bitString); n > 0 {
				return fmt.Sprintf("%s %d", name, n)
			}
		}
	}
	return name
}

// modulusBits gives the size of an RSA key, 0 when it has none. How the number
// is written does not matter.
func modulusBits(s cryptobyte.String) int {
	var sequence, modulus cryptobyte.String
	if !s.ReadASN1(&sequence, der.SEQUENCE) || !sequence.ReadASN1(&modulus, der.INTEGER) {
		return 0
	}
	for len(modulus) > 0 && modulus[0] == 0 {
		modulus = modulus[1:]
	}
	if len(modulus) == 0 {
		return 0
	}
	return 8*(len(modulus)-1) + bits.Len8(modulus[0])
}
