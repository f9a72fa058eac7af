// Package sshkey reads the host key of an SSH server, and never logs in: the key
// exchange ends as soon as the server has signed with its key and the signature
// is verified, before a single word about a user.
//
// # Cost
//
// One key exchange. A server makes us compute at most as much as one with a
// prime of 4096 bits, or one signature of RSA with 16384 bits: groups that it
// could choose itself (RFC 4419) are not offered. Who opened the connection
// bounds its bytes and its time.
package sshkey

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"sonde/probes"
)

// version is how we announce ourselves (RFC 4253 section 4.2), and goodbye the
// message that ends a connection, in clear (section 11.1): the two halves of what
// a server hears of a client that only leaves.
var version, goodbye, _ = strings.Cut(string(probes.Goodbye("ssh", 0)), "\r\n")

// order is the order in which kinds of keys are asked for. It never changes, so
// that a server with several shows the same one each time. The last two are of
// servers that have nothing better.
var order = []string{
	ssh.KeyAlgoED25519,
	ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
	ssh.KeyAlgoRSA, "ssh-dss",
}

// algorithms are all that the library can do, the good ones first: nothing
// secret is said, so that a weak one does no harm.
var algorithms = func() ssh.Config {
	good, weak := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	return ssh.Config{
		KeyExchanges: slices.DeleteFunc(slices.Concat(good.KeyExchanges, weak.KeyExchanges), func(s string) bool {
			return strings.Contains(s, "group-exchange")
		}),
		Ciphers: slices.Concat(good.Ciphers, weak.Ciphers),
		MACs:    slices.Concat(good.MACs, weak.MACs),
	}
}()

// errRead ends the key exchange when the key is there.
var errRead = errors.New("host key read")

// Read exchanges keys over c as far as the server proves to have its host key,
// gives that, and takes leave. It closes c. What fails is told as the library
// does: a server that only lets some addresses in closes, one of SSH 1 is not
// understood.
func Read(c net.Conn) (probes.SSHHostKey, error) {
	var key probes.SSHHostKey
	cfg := &ssh.ClientConfig{
		Config:            algorithms,
		ClientVersion:     version,
		HostKeyAlgorithms: order,
		HostKeyCallback: func(_ string, _ net.Addr, k ssh.PublicKey) error {
			key = Facts(k)
			if _, err := io.WriteString(c, goodbye); err != nil { // nothing is encrypted yet
				return fmt.Errorf("take leave: %w", err)
			}
			return errRead
		},
	}
	conn, _, _, err := ssh.NewClientConn(c, "", cfg)
	switch {
	case errors.Is(err, errRead):
		return key, nil
	case err == nil: // no server gets this far
		_ = conn.Close() // there is nothing to lose
		err = errors.New("no host key was shown")
	}
	return probes.SSHHostKey{}, fmt.Errorf("read ssh host key: %w", err)
}

// Facts gives what is kept of a key.
func Facts(k ssh.PublicKey) probes.SSHHostKey {
	return probes.SSHHostKey{Type: k.Type(), SHA256: strings.TrimPrefix(ssh.FingerprintSHA256(k), "SHA256:")}
}
