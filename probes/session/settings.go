package session

import (
	"fmt"
	"time"

	"sonde/probes"
)

// Settings bound what one visit does; see [DefaultSettings].
type Settings struct {
	Intensity int // probes that do not list the port are sent up to this rarity, 0–9

	ConnectTimeout time.Duration // for one TCP connect
	TLSTimeout     time.Duration // for one handshake, and one key exchange of SSH
	NullGrace      time.Duration // for the peer's first word, beside its way to us
	Settle         time.Duration // silence that ends an answer
	WallLimit      time.Duration // a whole visit, load included

	MaxProbes int           // probes sent, without listening
	MaxBytes  int           // sent and received
	MaxAnswer int           // kept and matched of one answer
	MaxWait   time.Duration // time in which an answer is waited for, however many at once

	Connections int // to the endpoint at once
	UDPRetries  int // sends after the first

	Allow Allow

	// What is asked once the identity is settled, over one connection at a
	// time and counted apart. Each of these has a time of its own, and all
	// together may move another MaxBytes.
	Names    bool // the certificates that a TLS server shows for further names
	StartTLS bool // the certificate that a plain service shows after STARTTLS
	SSHKey   bool // the host key of an SSH server
	RPC      bool // the list of a SunRPC port mapper
	Grind    bool // which program is behind a SunRPC port, by asking for each
}

// Allow switches on what is not asked by default.
type Allow struct {
	Credentials bool // probes that guess a credential
	Held        bool // the ports of printers
	Industrial  bool // industrial controllers, management controllers, UPSes
}

// Needs gives the same as the database says it.
func (a Allow) Needs() probes.Needs {
	var n probes.Needs
	if a.Credentials {
		n |= probes.NeedCredentials
	}
	if a.Held {
		n |= probes.NeedHeld
	}
	if a.Industrial {
		n |= probes.NeedIndustrial
	}
	return n
}

// DefaultMaxAnswer is the fixed byte limit of an answer. It holds the header
// and the head of nearly every web page (99 % of recorded answers of all
// protocols are shorter than 14.5 KiB; the reference stops near 4 KiB, which
// cuts 5 %), and twelve answers of this size, 192 KiB, stay within the byte
// budget of a visit: hostile length alone never exhausts it.
const DefaultMaxAnswer = 16 << 10

// MaxAnswerLimit is the highest MaxAnswer: the largest answer whose matching
// time is bounded by a promise of package match.
const MaxAnswerLimit = 64 << 10

const (
	// maxTrip bounds what a slow path adds to the grace: a round trip longer
	// than by satellite is taken for a slow connect instead.
	maxTrip = 750 * time.Millisecond

	// nullShare is how long a silent NULL connection stays open beside the
	// first probe, if half of that one's time is not less. A server that
	// serves one client at a time answers the probe only when the idle
	// connection is gone. Where only one connection is allowed it is what the
	// first probe waits behind the grace time.
	nullShare = 2 * time.Second

	// afterOlder is how long a silent connection lives on when an older one
	// was closed: time for a server of one client at a time to turn to it, to
	// read what was sent and to answer over a slow path.
	afterOlder = time.Second

	// tlsTrial bounds a handshake that only the port number suggests: one
	// retransmission of a lost packet and a slow server fit in. If it is
	// missed, the TLS probes of the ladder still come.
	tlsTrial = 3 * time.Second

	// promptWait is how long a peer that answers has for the next answer to
	// begin. Two seconds outlast three losses of a packet in a row, as kernels
	// repeat them after 0.2, 0.4 and 0.8 s.
	promptWait = 2 * time.Second
	// glance is how long a look at a connection takes that must not wait.
	glance = time.Millisecond

	// maxErrors bounds the notes of one visit: with 12 probes and 2 tries of
	// TLS each there is seldom more than one per connection.
	maxErrors = 32
)

// DefaultSettings are those of SCAN-SEMANTICS, but for MaxWait: what is asked
// in its 20 s one after the other is asked in 12 s side by side.
func DefaultSettings() Settings {
	return Settings{
		Intensity:      7,
		ConnectTimeout: 5 * time.Second,
		TLSTimeout:     8 * time.Second,
		NullGrace:      230 * time.Millisecond,
		Settle:         400 * time.Millisecond,
		WallLimit:      2 * time.Minute,
		MaxProbes:      12,
		MaxBytes:       256 << 10,
		MaxAnswer:      DefaultMaxAnswer,
		MaxWait:        12 * time.Second,
		Connections:    2,
		UDPRetries:     2,
	}
}

// check reports the first setting that no visit can work with.
func (s Settings) check() error {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"ConnectTimeout", s.ConnectTimeout},
		{"TLSTimeout", s.TLSTimeout},
		{"NullGrace", s.NullGrace},
		{"Settle", s.Settle},
		{"WallLimit", s.WallLimit},
		{"MaxWait", s.MaxWait},
	} {
		if d.value <= 0 {
			return fmt.Errorf("session settings: %s is %v, must be positive", d.name, d.value)
		}
	}
	for _, n := range []struct {
		name            string
		value, min, max int
	}{
		{"Intensity", s.Intensity, 0, 9},
		{"MaxProbes", s.MaxProbes, 1, 1000},
		{"MaxAnswer", s.MaxAnswer, 1, MaxAnswerLimit},
		{"MaxBytes", s.MaxBytes, s.MaxAnswer, 1 << 30},
		{"Connections", s.Connections, 1, 16},
		{"UDPRetries", s.UDPRetries, 0, 10},
	} {
		if n.value < n.min || n.value > n.max {
			return fmt.Errorf("session settings: %s is %d, must be %d to %d",
				n.name, n.value, n.min, n.max)
		}
	}
	return nil
}
