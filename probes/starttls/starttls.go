// Package starttls asks a server, in its own protocol, to begin TLS on a
// connection that began in clear. It has no socket and no clock: bytes received
// go in, bytes to send and a verdict come out, however the network cut them.
//
// No byte received can make a dialogue panic, hold more than [MaxInput] bytes,
// or send more than a few lines. No dialogue ever sends a credential, or goes on
// after a refusal: it says goodbye where the protocol has one.
//
// A dialogue belongs to one connection and to one goroutine at a time.
package starttls

import "strings"

// A State is where a dialogue stands.
type State uint8

// The states of a dialogue. All but Waiting are final.
const (
	// Waiting: the server is to speak.
	Waiting State = iota
	// Ready: after what is to be sent now, if anything, the client's side of
	// the TLS handshake begins.
	Ready
	// Refused: the server speaks the protocol but not TLS here, or not with
	// us. What is to be sent now is the goodbye; then the connection is closed.
	Refused
	// Broken: the server does not speak the protocol, or too much. The
	// connection is closed.
	Broken
)

// String implements fmt.Stringer.
func (s State) String() string {
	return [...]string{"waiting", "ready", "refused", "broken"}[min(s, Broken)]
}

// Limits of what is read.
const (
	// MaxInput is how much a server may say in a whole dialogue. A greeting
	// and a list of capabilities are below 4 KiB; four times that, twice, with
	// room for a talkative banner.
	MaxInput = 32 << 10
	// MaxLine is how long one line may be: eight times RFC 5321's limit, as
	// IMAP's capabilities stand in one.
	MaxLine = 4096
	// MaxReason is how much of a server's words a reason quotes.
	MaxReason = 200
)

// Options are what a dialogue says of us and of the server.
type Options struct {
	// Name is what we call ourselves in EHLO: a domain name or an address
	// literal. Without a proper one it is "localhost".
	Name string
	// Host is the server's domain, which XMPP wants to be addressed by; the
	// address will do elsewhere.
	Host string
}

// A Dialogue is one attempt to begin TLS.
type Dialogue interface {
	// Next takes what was received, nothing at the beginning, and gives what
	// is to be sent. Once the state is final it stays and nothing is sent any
	// more, except that bytes after the server's consent make a Ready dialogue
	// Broken: nobody may speak there before us.
	Next(received []byte) (send []byte, state State)
	// Reason tells in one line of printable ASCII why the state is Refused or
	// Broken.
	Reason() string
	// Goodbye is how the protocol takes leave, in clear or inside the tunnel;
	// nil where it does so by closing.
	Goodbye() []byte
}

// A Factory begins a dialogue on a new connection, at its first byte. On one
// that was only listened to, what the server said there goes in first.
type Factory func(Options) Dialogue

// For gives the dialogue of a service, by the names that probe files use.
func For(service string) (Factory, bool) {
	p, ok := protocols[strings.ToLower(service)]
	if !ok {
		return nil, false
	}
	return func(o Options) Dialogue { return p.begin(o) }, true
}

// Strikes reports whether the servers of a service count a connection that
// ends after the handshake against the client, and shut it out after some:
// MySQL and MariaDB do at 100 in a row (max_connect_errors). Such a service is
// asked seldom.
func Strikes(service string) bool { return protocols[strings.ToLower(service)].strikes }

// A protocol is how TLS begins in one protocol.
type protocol struct {
	first   func(t *talk, o Options) step // says what opens the dialogue, if we speak first
	goodbye string
	strikes bool
}

func (p protocol) begin(o Options) *talk {
	t := &talk{goodbye: p.goodbye}
	t.step = p.first(t, o)
	return t
}

var (
	protoSMTP  = protocol{first: smtp("EHLO"), goodbye: "QUIT\r\n"}
	protoPOP3  = protocol{first: pop3, goodbye: "QUIT\r\n"}
	protoFTP   = protocol{first: ftp, goodbye: "QUIT\r\n"}
	protoXMPP  = protocol{first: xmpp("jabber:client"), goodbye: "</stream:stream>"}
	protoSieve = protocol{first: sieve, goodbye: "LOGOUT\r\n"}
	protoRDP   = protocol{first: rdp}
)

// protocols are the table, by service name.
var protocols = map[string]protocol{
	"smtp":          protoSMTP,
	"smtp-proxy":    protoSMTP,
	"submission":    protoSMTP,
	"lmtp":          {first: smtp("LHLO"), goodbye: "QUIT\r\n"},
	"imap":          {first: imap, goodbye: "z LOGOUT\r\n"},
	"imap-proxy":    {first: imap, goodbye: "z LOGOUT\r\n"},
	"pop3":          protoPOP3,
	"pop3-proxy":    protoPOP3,
	"ftp":           protoFTP,
	"ftp-proxy":     protoFTP,
	"nntp":          {first: nntp, goodbye: "QUIT\r\n"},
	"sieve":         protoSieve,
	"managesieve":   protoSieve,
	"irc":           {first: irc, goodbye: "QUIT\r\n"},
	"irc-proxy":     {first: irc, goodbye: "QUIT\r\n"},
	"ldap":          {first: ldap, goodbye: "\x30\x05\x02\x01\x02\x42\x00"}, // unbind
	"postgresql":    {first: postgres},
	"mysql":         {first: mysql, strikes: true},
	"xmpp":          protoXMPP,
	"xmpp-client":   protoXMPP,
	"jabber":        protoXMPP,
	"xmpp-server":   {first: xmpp("jabber:server"), goodbye: "</stream:stream>"},
	"ms-wbt-server": protoRDP,
	"rdp":           protoRDP,
}
