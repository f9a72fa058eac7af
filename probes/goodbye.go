package probes

import "strings"

// Goodbye gives the polite end of a conversation: what the protocol of a
// service wants to hear before a client hangs up, or nil where it has no such
// word, or none that may be said without logging in. A server that hears it
// does not count the visit as an error, and so has no reason to ban us.
//
// It may be sent on a TCP connection, or inside its tunnel, on which the
// service was identified and nothing was sent but a probe of this protocol;
// "mysql" and "ssh" only where nothing was sent at all. The answer need not be
// read: the connection may be closed at once.
//
// The one for "mysql" is an answer to the handshake without a user and without
// a password, which the server refuses: an attempt to log in, so it needs
// NeedCredentials to be allowed. Nothing less ends a handshake: MySQL and
// MariaDB count each other end, COM_QUIT included, and after max_connect_errors
// of them in a row (100 by default) refuse the whole address, unless they run
// with skip_name_resolve.
func Goodbye(service string, allow Needs) []byte {
	service = strings.TrimPrefix(service, "ssl/")
	if service == "mysql" && !NeedCredentials.Within(allow) {
		return nil
	}
	if text, ok := goodbyes[service]; ok {
		return []byte(text)
	}
	return nil
}

const (
	quit     = "QUIT\r\n"
	logout   = "LOGOUT\r\n"
	taggedLO = "z LOGOUT\r\n"
	xmppEnd  = "</stream:stream>"
)

// goodbyes holds what is sure in each state that a probe leaves a server in.
// PostgreSQL's Terminate, for one, is missing: before the startup message it
// would be read as a broken one, and a bare close is no error there.
var goodbyes = map[string]string{
	"smtp":             quit, // RFC 5321, section 4.1.1.10
	"smtp-proxy":       quit,
	"lmtp":             quit, // RFC 2033, section 4.1
	"ftp":              quit, // RFC 959, section 4.1.1
	"ftp-proxy":        quit,
	"pop3":             quit, // RFC 1939, section 4: in AUTHORIZATION too
	"pop3-proxy":       quit,
	"pop3pw":           quit, // poppassd took it from POP3
	"nntp":             quit, // RFC 3977, section 5.4
	"nntp-proxy":       quit,
	"irc":              quit, // RFC 2812, section 3.1.7: before registration too
	"irc-proxy":        quit,
	"dict":             quit, // RFC 2229, section 3.9
	"hylafax":          quit, // FTP's commands
	"redis":            quit, // inline form; allowed before AUTH
	"tor-control":      quit, // one of the few commands that Tor takes before AUTHENTICATE
	"svdrp":            quit,
	"citadel":          quit,
	"imap":             taggedLO, // RFC 9051, section 6.1.3: in any state
	"imap-proxy":       taggedLO,
	"acap":             taggedLO,   // RFC 2244
	"mupdate":          taggedLO,   // RFC 3656
	"sieve":            logout,     // RFC 5804, section 2.3
	"nut":              "LOGOUT\n", // RFC 9271
	"memcached":        "quit\r\n",
	"memcache":         "quit\r\n",
	"beanstalk":        "quit\r\n",
	"varnish-cli":      "quit\n", // allowed before auth
	"teamspeak2":       "quit\n",
	"teamspeak3":       "quit\n",
	"mpd":              "close\n",
	"lcdproc":          "bye\n",
	"xmpp":             xmppEnd, // RFC 6120, section 4.4
	"xmpp-client":      xmppEnd,
	"xmpp-server":      xmppEnd,
	"jabber":           xmppEnd,
	"stomp":            "DISCONNECT\n\n\x00", // STOMP 1.2, DISCONNECT
	"asterisk-ami":     "Action: Logoff\r\n\r\n",
	"freeswitch-event": "exit\n\n",

	// UnbindRequest (RFC 4511, section 4.3), message id 127, higher than any
	// that a probe uses.
	"ldap": "\x30\x05\x02\x01\x7f\x42\x00",

	// DISCONNECT (MQTT 3.1.1, section 3.14). A broker that refused CONNECT has
	// closed already.
	"mqtt": "\xe0\x00",

	// The identification that is still due, then SSH_MSG_DISCONNECT in clear:
	// reason 11, by application (RFC 4253, sections 4.2, 6 and 11.1). OpenSSH
	// logs an orderly disconnect instead of a failed identification, which
	// log watchers ban for.
	"ssh": "SSH-2.0-Sonde\r\n" +
		"\x00\x00\x00\x1c" + "\x09" + // packet and padding length
		"\x01" + "\x00\x00\x00\x0b" + "\x00\x00\x00\x05done." + "\x00\x00\x00\x00" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00",

	// HandshakeResponse41 with an empty user and an empty answer to the
	// challenge. MySQL 8 may pick another authentication plugin for a user that
	// it does not know, and waits for an answer to that: the empty packet.
	// Without CLIENT_PLUGIN_AUTH it would count a failed handshake.
	"mysql": "\x38\x00\x00\x01" +
		"\x01\x82\x08\x00" + // LONG_PASSWORD, PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH
		"\x00\x00\x00\x01" + // longest packet: 16 MiB
		"\x21" + // utf8_general_ci
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
		"\x00" + "\x00" + // no user, no answer
		"mysql_native_password\x00" +
		"\x00\x00\x00\x03",
}
