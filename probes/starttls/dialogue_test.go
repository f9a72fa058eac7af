package starttls

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"
)

// A turn is what the server says and what is answered to it.
type turn struct{ hear, say string }

// A conversation is one dialogue with a server. The first turn hears nothing.
type conversation struct {
	name    string
	service string
	options Options
	turns   []turn
	state   State
	reason  string
}

const (
	greetMySQL = "\x0a5.5.5-10.11.6-MariaDB\x00" + "\x2a\x00\x00\x00" + "saltsalt\x00"
	askMySQL   = "\x20\x00\x00\x01\x01\x8a\x00\x00\x00\x00\x00\x01\x21" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	askRDP = "\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x0b\x00\x00\x00"
	askPG  = "\x00\x00\x00\x08\x04\xd2\x16\x2f"
	askDAP = "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
	askXML = "<?xml version='1.0'?><stream:stream to='lab.example' xmlns='jabber:client'" +
		" xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
	streamXML = "<?xml version='1.0'?><stream:stream from='lab.example' id='a>b' version='1.0'>"
	wantXML   = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
)

// mysqlPacket puts the greeting into a packet.
func mysqlPacket(body string, capabilities uint16) string {
	body += string(binary.LittleEndian.AppendUint16(nil, capabilities)) + "\x21\x02\x00"
	return string([]byte{byte(len(body)), 0, 0, 0}) + body
}

var me = Options{Name: "scanner.example", Host: "lab.example"}

var conversations = []conversation{
	{"smtp", "smtp", me, []turn{{}, {"220 mx ESMTP\r\n", "EHLO scanner.example\r\n"},
		{"250-mx\r\n250-SIZE 1\r\n250-starttls\r\n250 HELP\r\n", "STARTTLS\r\n"}, {"220 2.0.0 go\r\n", ""}}, Ready, ""},
	{"smtp, long greeting", "submission", me, []turn{{}, {"220-mx\r\n220-no spam\r\n", ""},
		{"220 mx\n", "EHLO scanner.example\r\n"}, {"250-mx\n250 STARTTLS\n", "STARTTLS\r\n"}, {"220\n", ""}}, Ready, ""},
	{"smtp without", "smtp", me, []turn{{}, {"220 mx\r\n", "EHLO scanner.example\r\n"},
		{"250-STARTTLS\r\n250 SIZE\r\n", "QUIT\r\n"}}, Refused, "offers no STARTTLS"},
	{"smtp, no name", "smtp", Options{Name: "evil\r\nMAIL FROM:<x>"}, []turn{{}, {"220 mx\r\n", "EHLO localhost\r\n"},
		{"502 what?\r\n", "QUIT\r\n"}}, Refused, "has no extensions: 502 what?"},
	{"smtp, literal", "smtp", Options{Name: "[IPv6:2001:db8::1]"}, []turn{{}, {"220 mx\r\n", "EHLO [IPv6:2001:db8::1]\r\n"},
		{"250 STARTTLS\r\n", "QUIT\r\n"}}, Refused, "offers no STARTTLS"},
	{"smtp, busy", "smtp", me, []turn{{}, {"421 try later\r\n", "QUIT\r\n"}}, Refused, "greeted with 421 try later"},
	{"smtp, broken TLS", "smtp", me, []turn{{}, {"220 mx\r\n", "EHLO scanner.example\r\n"},
		{"250-mx\r\n250 STARTTLS\r\n", "STARTTLS\r\n"}, {"454 no \x1b[31mTLS\r\n", "QUIT\r\n"}}, Refused, "454 no ?[31mTLS"},
	{"smtp, other", "smtp", me, []turn{{}, {"SSH-2.0-x\r\n", ""}}, Broken, `not a reply: "SSH-2.0-x"`},
	{"lmtp", "lmtp", me, []turn{{}, {"220 mx LMTP\r\n", "LHLO scanner.example\r\n"},
		{"250-mx\r\n250 STARTTLS\r\n", "STARTTLS\r\n"}, {"220 go\r\n", ""}}, Ready, ""},
	{"imap", "imap", me, []turn{{}, {"* OK hello\r\n", "a CAPABILITY\r\n"},
		{"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\na OK done\r\n", "b STARTTLS\r\n"},
		{"* OK still here\r\nb OK go\r\n", ""}}, Ready, ""},
	{"imap, at once", "imap", me, []turn{{}, {"* OK [CAPABILITY IMAP4rev1 StartTLS] hello\r\n", "b STARTTLS\r\n"},
		{"b BAD no\r\n", "z LOGOUT\r\n"}}, Refused, "BAD no"},
	{"imap without", "imap", me, []turn{{}, {"* OK [CAPABILITY IMAP4rev1] hello\r\n", "z LOGOUT\r\n"}},
		Refused, "offers no STARTTLS"},
	{"imap, known", "imap", me, []turn{{}, {"* PREAUTH hello\r\n", "z LOGOUT\r\n"}},
		Refused, "is past the state that allows STARTTLS"},
	{"imap, bye", "imap", me, []turn{{}, {"* BYE too many\r\n", "z LOGOUT\r\n"}}, Refused, "greeted with BYE too many"},
	{"imap, other", "imap", me, []turn{{}, {"+OK hello\r\n", ""}}, Broken, `not a greeting: "+OK hello"`},
	{"pop3", "pop3", me, []turn{{}, {"+OK hello\r\n", "CAPA\r\n"}, {"+OK\r\nTOP\r\nSTLS\r\n.\r\n", "STLS\r\n"},
		{"+OK go\r\n", ""}}, Ready, ""},
	{"pop3 without", "pop3", me, []turn{{}, {"+OK hello\r\n", "CAPA\r\n"}, {"+OK\r\nTOP\r\n.\r\n", "QUIT\r\n"}},
		Refused, "offers no STLS"},
	{"pop3, old", "pop3", me, []turn{{}, {"+OK hello\r\n", "CAPA\r\n"}, {"-ERR what\r\n", "STLS\r\n"},
		{"-ERR what\r\n", "QUIT\r\n"}}, Refused, "-ERR what"},
	{"ftp", "ftp", me, []turn{{}, {"220-Hi\r\n and more\r\n220 there\r\n", "AUTH TLS\r\n"}, {"234 go\r\n", ""}}, Ready, ""},
	{"ftp, slow", "ftp", me, []turn{{}, {"120 wait\r\n220 there\r\n", "AUTH TLS\r\n"}, {"530 first log in\r\n", "QUIT\r\n"}},
		Refused, "530 first log in"},
	{"nntp", "nntp", me, []turn{{}, {"200 hello\r\n", "CAPABILITIES\r\n"},
		{"101 list\r\nVERSION 2\r\nSTARTTLS\r\n.\r\n", "STARTTLS\r\n"}, {"382 go\r\n", ""}}, Ready, ""},
	{"nntp, old", "nntp", me, []turn{{}, {"201 hello\r\n", "CAPABILITIES\r\n"}, {"500 what\r\n", "QUIT\r\n"}},
		Refused, "has no list of capabilities: 500 what"},
	{"nntp, closed", "nntp", me, []turn{{}, {"400 NNTP server unavailable\r\n", "QUIT\r\n"}},
		Refused, "greeted with 400 NNTP server unavailable"},
	{"sieve", "sieve", me, []turn{{}, {"\"IMPLEMENTATION\" \"x\"\r\n\"STARTTLS\"\r\nOK \"ready\"\r\n", "STARTTLS\r\n"},
		{"OK\r\n", ""}}, Ready, ""},
	{"sieve, literal", "sieve", me, []turn{{}, {"\"IMPLEMENTATION\" {9+}\r\nNO\r\nOK\r\nx\r\n\"STARTTLS\"\r\nOK {3}\r\na\nb\r\n", "STARTTLS\r\n"},
		{"NO {2}\r\nhm\r\n", "LOGOUT\r\n"}}, Refused, "NO {2}"},
	{"sieve without", "managesieve", me, []turn{{}, {"\"SIEVE\" \"fileinto\"\r\nOK\r\n", "LOGOUT\r\n"}}, Refused, "offers no STARTTLS"},
	{"irc", "irc", me, []turn{{"", "CAP LS\r\n"}, {":x NOTICE AUTH :*** Looking\r\n", ""}, {"PING :123\r\n", "PONG :123\r\n"},
		{":x CAP * LS :sasl TLS\r\n", "STARTTLS\r\n"}, {":x 670 * :STARTTLS successful\r\n", ""}}, Ready, ""},
	{"irc, long list", "irc", me, []turn{{"", "CAP LS\r\n"}, {":x CAP * LS * :tls\r\n:x CAP * LS :sasl\r\n", "STARTTLS\r\n"},
		{":x 691 * :no\r\n", "QUIT\r\n"}}, Refused, "691 * :no"},
	{"irc without", "irc", me, []turn{{"", "CAP LS\r\n"}, {":x CAP * LS :sasl\r\n", "QUIT\r\n"}}, Refused, "offers no STARTTLS"},
	{"irc, old", "irc", me, []turn{{"", "CAP LS\r\n"}, {":x 421 * CAP :Unknown command\r\n", "STARTTLS\r\n"},
		{":x 451 * :You have not registered\r\n", "QUIT\r\n"}}, Refused, "451 * :You have not registered"},
	{"irc, full", "irc", me, []turn{{"", "CAP LS\r\n"}, {"ERROR :Closing link\r\n", "QUIT\r\n"}}, Refused, "ERROR :Closing link"},
	{"irc, text", "irc", me, []turn{{"", "CAP LS\r\n"}, {"hello you\r\n", ""}}, Broken, `not IRC before the registration: "hello you"`},
	{"ldap", "ldap", me, []turn{{"", askDAP},
		{"\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00", ""}}, Ready, ""},
	{"ldap, long form", "ldap", me, []turn{{"", askDAP},
		{"\x30\x84\x00\x00\x00\x10\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00", ""}}, Ready, ""},
	{"ldap without", "ldap", me, []turn{{"", askDAP},
		{"\x30\x0e\x02\x01\x01\x78\x09\x0a\x01\x02\x04\x00\x04\x02no", "\x30\x05\x02\x01\x02\x42\x00"}}, Refused, "result code 2 no"},
	{"ldap, huge", "ldap", me, []turn{{"", askDAP}, {"\x30\x84\xff\xff\xff\xff", ""}}, Broken,
		"not an LDAP message: more than 4096 bytes"},
	{"ldap, endless", "ldap", me, []turn{{"", askDAP}, {"\x30\x80", ""}}, Broken, "not an LDAP message: length of 0 bytes"},
	{"ldap, other", "ldap", me, []turn{{"", askDAP}, {"SSH-2.0-x" + strings.Repeat("\r\n", 40), ""}}, Broken,
		"not an LDAP message: tag 0x53"},
	{"postgresql", "postgresql", me, []turn{{"", askPG}, {"S", ""}}, Ready, ""},
	{"postgresql without", "postgresql", me, []turn{{"", askPG}, {"N", ""}}, Refused, "offers no TLS"},
	{"postgresql, other", "postgresql", me, []turn{{"", askPG}, {"\x15", ""}}, Broken, "answered with byte 0x15"},
	{"mysql", "mysql", me, []turn{{}, {mysqlPacket(greetMySQL, 0xffff), askMySQL}}, Ready, ""},
	{"mysql without", "mysql", me, []turn{{}, {mysqlPacket(greetMySQL, 0xf7ff), ""}}, Refused, "offers no TLS"},
	{"mysql, blocked", "mysql", me, []turn{{}, {"\x1d\x00\x00\x00\xff\x69\x04Host 'x' is not welcome :(", ""}},
		Refused, "error 1129 Host 'x' is not welcome :("},
	{"mysql, short", "mysql", me, []turn{{}, {"\x03\x00\x00\x00\x0a8\x00", ""}}, Broken, "a greeting cut short"},
	{"mysql, other", "mysql", me, []turn{{}, {"SSH-2.0-x\r\n", ""}}, Broken, "a greeting of 4739923 bytes"},
	{"xmpp", "xmpp-client", me, []turn{{"", askXML}, {streamXML, ""},
		{"<stream:features><starttls xmlns=\"urn:ietf:params:xml:ns:xmpp-tls\"><required/></starttls></stream:features>", wantXML},
		{"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", ""}}, Ready, ""},
	{"xmpp without", "xmpp", me, []turn{{"", askXML}, {streamXML + "<stream:features><mechanisms/></stream:features>", "</stream:stream>"}},
		Refused, "offers no STARTTLS"},
	{"xmpp, no features", "xmpp", me, []turn{{"", askXML}, {streamXML + "<stream:features/>", "</stream:stream>"}},
		Refused, "offers no STARTTLS"},
	{"xmpp, host", "xmpp", me, []turn{{"", askXML},
		{streamXML + "<stream:error><host-unknown xmlns='x'/><text>no</text></stream:error></stream:stream>", "</stream:stream>"}},
		Refused, "stream error host-unknown"},
	{"xmpp, failure", "xmpp", me, []turn{{"", askXML}, {streamXML + "<features><starttls/></features>", wantXML},
		{"<failure xmlns='x'/>", "</stream:stream>"}}, Refused, "failure"},
	{"xmpp, entities", "xmpp", me, []turn{{"", askXML}, {"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a \"b\">]>", ""}}, Broken,
		`not allowed in a stream: <!DOCTYPE x [<!ENTITY a "b"`},
	{"xmpp, other", "xmpp", me, []turn{{"", askXML}, {"220 mx", ""}}, Broken, ""},
	{"xmpp-server", "xmpp-server", Options{Host: "a'b"}, []turn{{"", "<?xml version='1.0'?><stream:stream xmlns='jabber:server'" +
		" xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"}, {"<a/>", ""}}, Broken, "not a stream: <a>"},
	{"rdp", "ms-wbt-server", me, []turn{{"", askRDP},
		{"\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x1f\x08\x00\x02\x00\x00\x00", ""}}, Ready, ""},
	{"rdp, own", "rdp", me, []turn{{"", askRDP},
		{"\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x00\x08\x00\x00\x00\x00\x00", ""}}, Refused, "chose RDP's own security"},
	{"rdp, old", "rdp", me, []turn{{"", askRDP}, {"\x03\x00\x00\x0b\x06\xd0\x00\x00\x12\x34\x00", ""}},
		Refused, "speaks RDP's own security only"},
	{"rdp, failure", "rdp", me, []turn{{"", askRDP},
		{"\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x03\x00\x08\x00\x02\x00\x00\x00", ""}}, Refused, "negotiation failure 2"},
	{"rdp, other", "rdp", me, []turn{{"", askRDP}, {"HTTP/1.1 400", ""}}, Broken, "not an X.224 answer"},
}

// begin starts the dialogue of a conversation.
func (c *conversation) begin(t testing.TB) Dialogue {
	t.Helper()
	factory, ok := For(c.service)
	if !ok {
		t.Fatalf("no dialogue for %s", c.service)
	}
	return factory(c.options)
}

// TestConversations holds each with the server's words in pieces of every size
// and of random ones: what is said must not change.
func TestConversations(t *testing.T) {
	for _, c := range conversations {
		t.Run(c.name, func(t *testing.T) {
			for size := 1; size < 40; size++ {
				c.hold(t, func(rest int) int { return min(size, rest) })
			}
			r := rand.New(rand.NewPCG(1, 2))
			for range 40 {
				c.hold(t, func(rest int) int { return 1 + r.IntN(rest) })
			}
		})
	}
}

func (c *conversation) hold(t *testing.T, cut func(rest int) int) {
	t.Helper()
	d := c.begin(t)
	state := Waiting
	for i, turn := range c.turns {
		if state != Waiting {
			t.Fatalf("turn %d: already %v", i, state)
		}
		said, st := d.Next(nil)
		state = st
		for hear := turn.hear; hear != "" && state == Waiting; {
			n := cut(len(hear))
			var more []byte
			more, state = d.Next([]byte(hear[:n]))
			said = append(said, more...)
			hear = hear[n:]
		}
		if string(said) != turn.say {
			t.Fatalf("turn %d: said %q, want %q", i, said, turn.say)
		}
	}
	if state != c.state || c.reason != "" && d.Reason() != c.reason {
		t.Fatalf("%v %q, want %v %q", state, d.Reason(), c.state, c.reason)
	}
	if said, again := d.Next(nil); again != state || said != nil {
		t.Fatalf("then %q, %v", said, again)
	}
}

func TestWordsAfterConsent(t *testing.T) {
	for _, c := range conversations {
		if c.state != Ready {
			continue
		}
		for _, late := range []bool{false, true} {
			d := c.begin(t)
			var state State
			for i, turn := range c.turns {
				hear := turn.hear
				if i == len(c.turns)-1 && !late {
					hear += "x"
				}
				_, state = d.Next([]byte(hear))
			}
			if late {
				_, state = d.Next([]byte("x"))
			}
			if state != Broken || !strings.Contains(d.Reason(), "after its consent") {
				t.Errorf("%s, late %v: %v %q", c.name, late, state, d.Reason())
			}
		}
	}
}

func TestGoodbyes(t *testing.T) {
	for service, p := range protocols {
		factory, ok := For(strings.ToUpper(service))
		if !ok {
			t.Fatalf("no dialogue for %s in capitals", service)
		}
		if got := factory(me).Goodbye(); string(got) != p.goodbye {
			t.Errorf("%s: goodbye %q", service, got)
		}
	}
	if _, ok := For("http"); ok {
		t.Error("http has a dialogue")
	}
	if !Strikes("mysql") || Strikes("smtp") {
		t.Error("strikes")
	}
}

// TestEndless lets each server go on for ever, in lines and without any.
func TestEndless(t *testing.T) {
	streams := []string{"220-x\r\n", "* OK x\r\n", "+OK\r\n", "\"x\"\r\n", ":x NOTICE a\r\n", "PING x\r\n", "x", "\x30\x82\x0f\xff",
		"<a x='", "<?a?>", "<stream>", "\x00", "\"x\" {1}\r\n"}
	for service := range protocols {
		for _, stream := range streams {
			for _, size := range []int{7, 4096, 100_000} {
				factory, _ := For(service)
				d := factory(me)
				sent, state := d.Next(nil)
				said, heard := len(sent), 0
				chunk := bytes.Repeat([]byte(stream), size/len(stream)+1)
				for state == Waiting && heard <= MaxInput {
					sent, state = d.Next(chunk)
					said += len(sent)
					heard += len(chunk)
				}
				if state == Waiting || state == Ready {
					t.Errorf("%s on %q by %d: %v after %d bytes", service, stream, size, state, heard)
				}
				if said > 2*MaxInput {
					t.Errorf("%s on %q by %d: %d bytes said", service, stream, size, said)
				}
			}
		}
	}
}

// FuzzDialogues lets every service hear anything: the cut must not matter.
func FuzzDialogues(f *testing.F) {
	for _, c := range conversations {
		var all string
		for _, turn := range c.turns {
			all += turn.hear
		}
		f.Add(c.service, []byte(all), uint16(3))
	}
	f.Fuzz(func(t *testing.T, service string, heard []byte, cut uint16) {
		factory, ok := For(service)
		if !ok {
			return
		}
		at := min(int(cut), len(heard))
		whole, wholeState := listen(factory, heard)
		parts, partsState := listen(factory, heard[:at], heard[at:])
		if wholeState != partsState {
			t.Fatalf("%v whole, %v cut at %d", wholeState, partsState, at)
		}
		if wholeState != Broken && !bytes.Equal(whole, parts) {
			t.Fatalf("said %q whole, %q cut at %d", whole, parts, at)
		}
		if len(whole) > 1000+2*len(heard) {
			t.Fatalf("said %d bytes to %d", len(whole), len(heard))
		}
	})
}

func listen(factory Factory, parts ...[]byte) (said []byte, state State) {
	d := factory(me)
	said, state = d.Next(nil)
	for _, p := range parts {
		var more []byte
		more, state = d.Next(p)
		said = append(said, more...)
	}
	for _, c := range d.Reason() {
		if c < ' ' || c > '~' {
			panic("unprintable reason")
		}
	}
	if (d.Reason() == "") != (state == Waiting || state == Ready) {
		panic("a reason too many or too few")
	}
	return said, state
}
