package probes

import "testing"

func TestReal(t *testing.T) {
	for source, want := range map[string]bool{
		"Debian 12 openssh-server 1:9.2p1-2+deb12u3":                        true,
		"Debian 12 nginx-light 1.22.1-9+deb12u11, server_tokens off":        true,
		"Debian 12 gitweb 1:2.39.5-0+deb12u2 with apache2 2.4.71-1~deb12u1": true,
		"Ubuntu 24.04 nginx-core 1.24.0-2ubuntu7.5":                         true,
		"npm @hapi/hapi 21.3.2":                                             true,
		"Go module github.com/nats-io/nats-server/v2 v2.10.0, monitoring":   true,
		"Debian 12 openssh-server":                                          false, // of no version
		"Debian 12 openssh-server, two lines sent":                          false,
		"npm express":       false,
		"Debian policy 4.6": false,
		"constructed: Server field in the form of Debian 12 apache2 2.4.71": false,
		"RFC 5321 section 4.2":                            false,
		"MySQL client and server protocol, Handshake V10": false,
		"": false,
	} {
		e := Example{Source: source}
		if e.Real() != want {
			t.Errorf("%q: real is %v", source, !want)
		}
	}
}
