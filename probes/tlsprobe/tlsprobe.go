// Package tlsprobe shakes hands with whatever speaks TLS, and reports what the
// peer showed of itself, also where the handshake fails.
//
// Nothing is verified and everything is accepted: TLS 1.0 to 1.3, every cipher
// suite that crypto/tls knows. The aim is to see, not to be safe; the tunnel
// must carry no secret. What the peer sent reaches a caller only as printable
// ASCII of bounded length.
//
// A handshake reads at most 64 KiB for one message and 256 KiB for the
// certificates (crypto/tls's own limits), keeps [MaxName] bytes of a name and
// [probes.MaxSANs] alternative names, and ends when its context does.
//
// # By hand
//
// Whom crypto/tls cannot talk to (SSL 3.0, export suites, a certificate that it
// refuses) is asked by a [ClientHello] of our own, and a [Reader] takes what the
// server says in clear; [DTLSClientHello] and [DTLSReader] do so over datagrams.
// These hold no socket and read no clock: bytes go in, facts come out. No tunnel
// comes of it.
//
// A server that then chooses to have no certificate (DH_anon with AES in GCM) is
// let in by a handshake of our own, which makes a tunnel like any other.
//
// [Offers] lists the ways to offer TLS to one endpoint, [Next] leads from one
// that failed to the next that may do better, and [Join] puts together what
// they showed.
package tlsprobe

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"time"

	"sonde/probes"
)

// Config says what one handshake offers.
type Config struct {
	Name       string   // sent as SNI unless empty or an address
	ALPN       []string // offered protocols; none when empty
	MaxVersion uint16   // a tls.VersionTLSxx; 0 offers TLS 1.3
	Ticket     *Ticket  // to resume a session, or to ask for one; nil: neither
	Anonymous  bool     // only suites without a certificate, in TLS 1.2; no other field counts
}

// A Tunnel is the inside of a TLS session.
type Tunnel interface {
	net.Conn
	// CloseWrite says that no more will be written (close_notify).
	CloseWrite() error
}

// A HandshakeError says how far a failed handshake came.
type HandshakeError struct {
	// SpokeTLS is set when the peer's first bytes were a TLS record: it
	// speaks TLS, though not with us.
	SpokeTLS bool
	// Silent is set when the peer sent no byte at all.
	Silent bool
	// Ticket is set when it may be due to the ticket: without one the same
	// handshake may succeed.
	Ticket bool
	Err    error
}

// Error implements error.
func (e *HandshakeError) Error() string { return fmt.Sprintf("TLS handshake: %v", e.Err) }

// Unwrap gives crypto/tls's own error.
func (e *HandshakeError) Unwrap() error { return e.Err }

// curves leaves out the post-quantum hybrids: their key share makes a hello
// of two segments, at which some old servers hang up, and what is read here
// needs no secrecy.
var curves = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}

// Handshake makes conn the inside of a TLS tunnel.
//
// The facts are filled as far as the peer let us see, also beside an error,
// which is a *HandshakeError. After an error conn is closed or useless; the
// caller closes it in either case.
//
// With TLS 1.3 a server may refuse us only after the handshake is done, for
// instance because it demands a certificate: the first read from the tunnel
// then fails, and [Alert] gives the reason.
func Handshake(ctx context.Context, conn net.Conn, cfg Config) (Tunnel, probes.TLSFacts, error) {
	if cfg.Anonymous {
		return anonymous(ctx, conn)
	}
	facts := probes.TLSFacts{Name: sentName(cfg.Name)}
	seen := &witness{Conn: conn}
	config := clientConfig(cfg, &facts)
	var resuming *session
	if cfg.Ticket != nil {
		resuming = newSession(cfg.Ticket)
		config.ClientSessionCache = resuming
	}
	tunnel := tls.Client(seen, config)
	if err := tunnel.HandshakeContext(ctx); err != nil {
		facts.Alert = cause(err)
		facts.Offered = VersionName(cmp.Or(cfg.MaxVersion, tls.VersionTLS13))
		seen.complete(&facts, err)
		return nil, facts, &HandshakeError{
			SpokeTLS: seen.reader.spoke,
			Silent:   seen.reader.n == 0,
			Ticket:   resuming != nil && (resuming.used || seen.reader.hello.ticket && !brokeOff(err)),
			Err:      err,
		}
	}
	cs := tunnel.ConnectionState()
	setSession(&facts, cs)
	if resuming != nil {
		resuming.keep(cfg.Ticket, &facts, cs)
	}
	return tunnel, facts, nil
}

// anonymous is a handshake without certificates.
func anonymous(ctx context.Context, conn net.Conn) (Tunnel, probes.TLSFacts, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	seen := &witness{Conn: conn}
	tunnel, err := shakeAnonymously(seen)
	facts := probes.TLSFacts{}
	seen.complete(&facts, err)
	if err != nil {
		err = cmp.Or(context.Cause(ctx), err)
		facts.Alert, facts.Offered = cause(err), VersionName(tls.VersionTLS12)
		return nil, facts, &HandshakeError{SpokeTLS: seen.reader.spoke, Silent: seen.reader.n == 0, Err: err}
	}
	return tunnel, facts, nil
}

// clientConfig stores in facts what the callbacks see: they run in the middle
// of the handshake, before the steps at which it may still fail.
func clientConfig(cfg Config, facts *probes.TLSFacts) *tls.Config {
	return &tls.Config{
		ServerName:         cfg.Name, // crypto/tls sends no SNI for an address
		NextProtos:         cfg.ALPN,
		MinVersion:         tls.VersionTLS10,
		MaxVersion:         cfg.MaxVersion,
		CipherSuites:       everySuite(),
		CurvePreferences:   curves,
		InsecureSkipVerify: true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			facts.ClientCert = ClientCertRequested
			return &tls.Certificate{}, nil // none, as if this were not set
		},
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			facts.Certificate = Certificate(raw[0])
			return nil
		},
		VerifyConnection: func(cs tls.ConnectionState) error {
			setSession(facts, cs)
			if cs.DidResume {
				cfg.Ticket.setResumed(facts, cs)
			}
			return nil
		},
		Time: func() time.Time { return time.Unix(0, 0) }, // no certificate has expired
	}
}

func setSession(facts *probes.TLSFacts, cs tls.ConnectionState) {
	facts.Version = tls.VersionName(cs.Version)
	facts.Cipher = tls.CipherSuiteName(cs.CipherSuite)
	facts.ALPN = printable(cs.NegotiatedProtocol, MaxName)
}

func everySuite() []uint16 {
	var ids []uint16
	for _, s := range tls.CipherSuites() {
		ids = append(ids, s.ID)
	}
	for _, s := range tls.InsecureCipherSuites() {
		ids = append(ids, s.ID)
	}
	return ids
}
