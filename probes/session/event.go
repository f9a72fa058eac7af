package session

import (
	"errors"
	"net/netip"
	"time"

	"sonde/probes"
	"sonde/probes/tlsprobe"
)

// ErrHandshakeBytes ends a handshake that moves more than it may. It is what
// the connection below crypto/tls fails with, and told in Event.Err.
var ErrHandshakeBytes = errors.New("byte budget spent")

// An EventKind says what happened outside a Machine.
type EventKind uint8

// The kinds of an Event.
const (
	// Opened: the connection that an Open asked for is there; a UDP socket is
	// so at once. RTT is how long the connect took.
	Opened EventKind = iota + 1
	// Sent: what the oldest Send that was not told of yet asked for has been
	// handed to the kernel.
	Sent
	// Received: bytes, or one whole datagram, came. Data is only valid during
	// the call. An empty datagram is one too.
	Received
	// Rejected: an ICMP error came for a UDP socket, which stays open.
	Rejected
	// Ended: the connection is gone, or could not be opened: Err is io.EOF
	// after an orderly close, else what the system says. Nothing more comes of
	// it, and it needs no Close.
	Ended
	// Secured: the handshake that a StartTLS asked for succeeded. From now on
	// Send and Received carry what is inside the tunnel.
	Secured
	// Unsecured: it failed, and the connection is gone.
	Unsecured
	// Shown: the key exchange that a ReadKey asked for is over, and so is the
	// connection. Key says what it showed, or else Err why nothing.
	Shown
	// Stirred: a part of what will be Received came, and not all that it takes
	// to tell what: a TLS record arrives in several segments.
	Stirred
	// Woken: the time of the latest Wake has come.
	Woken
	// Cancelled: the visit is to end at once with what is known; Err is why.
	Cancelled
)

// An Event is one thing that happened, told to [Machine.Handle].
type Event struct {
	Kind EventKind
	Conn int            // of which connection; not for Woken and Cancelled
	Data []byte         // Received
	From netip.AddrPort // Received and Rejected over UDP: who answered
	Err  error          // Rejected, Ended, Unsecured (a *tlsprobe.HandshakeError), Shown, Cancelled
	RTT  time.Duration  // Opened
	TLS  *Handshake     // Secured, Unsecured
	Key  *KeyExchange   // Shown
}

// A Handshake is what an attempt to open a tunnel showed and took.
type Handshake struct {
	Facts             probes.TLSFacts
	BytesOut, BytesIn int // on the wire
}

// A KeyExchange is what one with an SSH server showed and took.
type KeyExchange struct {
	HostKey           probes.SSHHostKey // the zero value where Event.Err is set
	BytesOut, BytesIn int
}

// An ActionKind says what a Machine wants done.
type ActionKind uint8

// The kinds of an Action.
const (
	// Open: open connection Conn, which is a new number. Answered by Opened or
	// Ended. The outside may wait as long as rates and budgets demand before
	// it begins; a connect itself takes at most Settings.ConnectTimeout.
	Open ActionKind = iota + 1
	// Send: send Data, which stays unchanged. Answered by Sent, or Ended. Of
	// a UDP socket the outside may wait as long as rates demand.
	Send
	// StartTLS: make Conn a tunnel, as Hello says. Answered by Secured or
	// Unsecured.
	StartTLS
	// ReadKey: exchange keys on Conn, on which nothing was said, with an SSH
	// server, as far as its host key. Answered by Shown.
	ReadKey
	// Close: close Conn; what was sent still goes out. No event of it follows.
	Close
	// Wake: send Woken at the time At, or at once when that has passed. It
	// replaces the Wake before; with the zero time there is none any more.
	Wake
	// Finish: the visit is over. No connection is open any more, and no event
	// is expected. It is the last action.
	Finish
)

// A TicketUse says whether a handshake may be shortened by a session of an
// earlier one, which only servers up to TLS 1.2 do.
type TicketUse uint8

// The ways to use a ticket. The outside keeps what a server gives for each name,
// and gives back what a full handshake earned less than a day ago.
const (
	// NoTicket: shake hands in full, and ask for no ticket.
	NoTicket TicketUse = iota
	// AskTicket: shake hands in full, and keep what the server gives.
	AskTicket
	// UseTicket: give back what is kept; without any, AskTicket.
	UseTicket
)

// What is said beside probes: see [Action].What.
const (
	SaidHello   = "tls-hello" // a handshake made by hand, which ends before it is complete
	SaidDTLS    = "dtls-hello"
	SaidUpgrade = "starttls" // the dialogue that leads to it
	SaidRPC     = "rpc"
	SaidSSH     = "ssh" // a key exchange, which ends before it is complete
	SaidGoodbye = "goodbye"
	SaidTLS     = "tls"
)

// An Action is one thing to do, from [Machine.Start] or [Machine.Handle].
type Action struct {
	Kind       ActionKind
	Conn       int
	Data       []byte           // Send
	What       string           // Send, StartTLS, ReadKey: a probe's name, or one of Said…, for a log
	Hello      *tlsprobe.Config // StartTLS
	Timeout    time.Duration    // StartTLS, ReadKey: how long the handshake may take
	MaxBytes   int              // StartTLS, ReadKey: how much it may read
	Ticket     TicketUse        // StartTLS
	SourcePort uint16           // Open: to send from; 0: any
	At         time.Time        // Wake
}
