package probes

import (
	"net/netip"
	"time"

	"sonde/match"
)

// Transport is the protocol below a service.
type Transport string

// The transports.
const (
	TCP Transport = "tcp"
	UDP Transport = "udp"
)

// State is what is known of a port.
type State string

// The states of a port, in nmap's words.
const (
	Open           State = "open"
	Closed         State = "closed"
	Filtered       State = "filtered"
	OpenOrFiltered State = "open|filtered"
)

// Strength says how much an identity may be believed.
type Strength string

// The strengths, strongest first.
const (
	Hard      Strength = "hard"  // a match line hit
	Soft      Strength = "soft"  // a softmatch line hit
	Table     Strength = "table" // only the port number speaks for it
	Unmatched Strength = "none"  // nothing is known
)

// Outcome is how one visit to an endpoint ended.
type Outcome string

// The outcomes of a visit. Only OutcomeAnswered and OutcomeTCPWrapped speak
// about the service; OutcomeRefused about its absence; the others about us,
// the path or the limits, and never replace what is known.
const (
	OutcomeAnswered     Outcome = "answered"     // bytes came back
	OutcomeTCPWrapped   Outcome = "tcpwrapped"   // accepted, then closed without a byte
	OutcomeRefused      Outcome = "refused"      // RST, or ICMP port unreachable
	OutcomeSilent       Outcome = "silent"       // no answer to anything
	OutcomeUnreachable  Outcome = "unreachable"  // ICMP host or network unreachable, no route
	OutcomeBlocked      Outcome = "blocked"      // the peer refuses us, not the service
	OutcomeHeld         Outcome = "held"         // policy forbids asking
	OutcomeUndecided    Outcome = "undecided"    // a matching limit was hit
	OutcomeInconclusive Outcome = "inconclusive" // a time or byte budget ran out midway
)

// Tunnel is what wraps the service: "" or "tls".
type Tunnel string

// The tunnels.
const (
	NoTunnel Tunnel = ""
	TLS      Tunnel = "tls"
	DTLS     Tunnel = "dtls"
)

// An Endpoint is one port of one address, the thing that is asked.
type Endpoint struct {
	Addr      netip.Addr
	Port      uint16
	Transport Transport
	Names     []string // names of the target, for SNI and Host; may be empty
}

// An Observation is all that one visit to an endpoint found out. It is the
// border between the sensor and the inventory, and its JSON form is the
// endpoint object of `scan -o json`, `match`, `inventory` and the events.
type Observation struct {
	Addr      netip.Addr `json:"addr,omitzero"`
	Port      uint16     `json:"port,omitempty"`
	Transport Transport  `json:"transport,omitempty"`
	State     State      `json:"state,omitempty"`
	Reason    string     `json:"reason,omitempty"` // "syn-ack", "conn-refused", "no-response", an errno text …
	Names     []string   `json:"names,omitempty"`
	Tunnel    Tunnel     `json:"tunnel,omitempty"`

	match.Identity

	Strength Strength   `json:"strength,omitempty"`
	Outcome  Outcome    `json:"outcome,omitempty"`
	Probe    string     `json:"probe,omitempty"` // the probe whose answer gave the identity
	Rule     string     `json:"rule,omitempty"`  // "file:line" of the line that hit
	TLS      []TLSFacts `json:"tls,omitempty"`
	RPC      []RPCFacts `json:"rpc,omitempty"` // SunRPC programs found here, in the order of their numbers; at most MaxRPC

	SSHHostKey *SSHHostKey `json:"ssh_host_key,omitempty"`

	Fingerprint string    `json:"fingerprint,omitempty"`
	Evidence    *Evidence `json:"evidence,omitempty"`
	Cost        Cost      `json:"cost,omitzero"`

	At       time.Time `json:"-"` // when the last packet that counts was seen
	Database string    `json:"-"` // hash of the database that was asked
	Asked    []string  `json:"-"` // names of the probes sent in this visit; nil when not told
	Errors   []string  `json:"-"` // what went wrong beside the result, for the log
	Goodbyes int       `json:"-"` // connections that were left with the protocol's own word, which is no probe
	Offer    int       `json:"-"` // which of the ways to offer TLS was let in, or else showed most; 0: the first, or none
	Turn     int       `json:"-"` // which of the further names is to be asked by next, from 1; 0: not known
	Answers  []Answer  `json:"-"` // what the probes drew, in the order asked; only without a hard match
}

// An Answer is what one probe of a visit drew, for the fingerprint of a
// service that no line explains.
type Answer struct {
	Probe  string
	Tunnel Tunnel // that it was heard in
	Data   []byte // the first MaxAnswerData bytes
	Length int    // how many there were
}

// MaxAnswerData is how much of an Answer is kept. A fingerprint shows 900
// bytes; with the dozen probes of a visit this is 11 KiB at most.
const MaxAnswerData = 900

// TLSFacts is what a handshake showed, or several of which none succeeded.
type TLSFacts struct {
	Name        string       `json:"name,omitempty"` // the SNI that was sent
	Version     string       `json:"version,omitempty"`
	Cipher      string       `json:"cipher,omitempty"`
	ALPN        string       `json:"alpn,omitempty"`
	Alert       string       `json:"alert,omitempty"`       // where the handshake failed
	Offered     string       `json:"offered,omitempty"`     // what failed: the highest version of each hello
	ClientCert  string       `json:"client_cert,omitempty"` // "requested" of us
	Remembered  bool         `json:"remembered,omitempty"`  // in part what an earlier visit read, at most a day ago
	Certificate *Certificate `json:"cert,omitempty"`
}

// Certificate holds the facts of a leaf certificate.
type Certificate struct {
	Subject   string    `json:"subject,omitempty"` // RFC 2253 string
	Issuer    string    `json:"issuer,omitempty"`
	SANs      []string  `json:"sans,omitempty"` // at most MaxSANs
	SANsCount int       `json:"sans_count,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	NotAfter  time.Time `json:"not_after,omitzero"`
	Key       string    `json:"key,omitempty"`    // "RSA 2048", "ECDSA P-256", "Ed25519"
	SHA256    string    `json:"sha256,omitempty"` // of the DER, lower-case hex
	Error     string    `json:"error,omitempty"`  // why it could not be parsed
}

// MaxSANs is how many subject alternative names of a certificate are kept;
// SANsCount tells how many there were.
const MaxSANs = 32

// MaxRPC is how many SunRPC programs of an endpoint are kept. A server with
// NFS and NIS has about 20.
const MaxRPC = 64

// RPCFacts is one SunRPC program (RFC 5531) that an endpoint serves or, being a
// port mapper, lists.
type RPCFacts struct {
	Program uint32 `json:"program"`
	Name    string `json:"name,omitempty"` // "" for a number that the table lacks
	Low     uint32 `json:"low"`            // the lowest version
	High    uint32 `json:"high"`           // the highest version
}

// An SSHHostKey is the key by which an SSH server proved who it is (RFC 4253
// section 8). It is the server's own, and no user's.
type SSHHostKey struct {
	Type   string `json:"type"`   // "ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa", "ssh-dss"
	SHA256 string `json:"sha256"` // of the key, in base64 without padding, as ssh-keygen -l shows it behind "SHA256:"
}

// Evidence is the answer that decided, for people and for matching again.
type Evidence struct {
	Probe     string `json:"probe,omitempty"`
	Rule      string `json:"rule,omitempty"` // the stable id of the line, or file:line without one
	Database  string `json:"database,omitempty"`
	Answer    Bytes  `json:"answer,omitempty"`
	Truncated bool   `json:"truncated,omitempty"`
}

// Cost is what a visit took to find out the identity.
type Cost struct {
	Connections int   `json:"connections,omitempty"`
	Probes      int   `json:"probes,omitempty"`
	BytesOut    int   `json:"bytes_out,omitempty"`
	BytesIn     int   `json:"bytes_in,omitempty"`
	Millis      int64 `json:"ms,omitempty"`

	// Extra is what was asked after that took: a certificate behind STARTTLS,
	// the programs of a SunRPC server, an SSH server's host key. Its Probes are the times we spoke; it
	// has no Extra. It is nil where nothing was asked.
	Extra *Cost `json:"extra,omitempty"`
}
