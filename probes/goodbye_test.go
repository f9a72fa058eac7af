package probes

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func TestGoodbye(t *testing.T) {
	for service, want := range map[string]string{
		"smtp": "QUIT\r\n", "lmtp": "QUIT\r\n", "ftp": "QUIT\r\n", "pop3": "QUIT\r\n",
		"nntp": "QUIT\r\n", "irc": "QUIT\r\n", "dict": "QUIT\r\n", "redis": "QUIT\r\n",
		"imap": "z LOGOUT\r\n", "sieve": "LOGOUT\r\n", "nut": "LOGOUT\n",
		"memcached": "quit\r\n", "beanstalk": "quit\r\n", "mpd": "close\n",
		"xmpp-client": "</stream:stream>", "mqtt": "\xe0\x00",
		"ssl/smtp": "QUIT\r\n",

		"postgresql": "", // Terminate before the startup message is an error
		"rtsp":       "", // TEARDOWN ends a stream, and there is none
		"http":       "", "vnc": "", "rsync": "", "ssl": "", "telnet": "", "unknown": "", "": "",
	} {
		if got := Goodbye(service, 0); string(got) != want || want == "" && got != nil {
			t.Errorf("%q: got %q, want %q", service, got, want)
		}
	}
}

func TestGoodbyeIsACopy(t *testing.T) {
	Goodbye("smtp", 0)[0] = 'X'
	if got := string(Goodbye("smtp", 0)); got != "QUIT\r\n" {
		t.Errorf("the next one is %q", got)
	}
}

// RFC 4251 section 5 and RFC 4253 sections 6 and 11.1: a packet in clear is a
// multiple of eight bytes, at least four of them padding.
func TestGoodbyeOfSSH(t *testing.T) {
	ident, packet, ok := bytes.Cut(Goodbye("ssh", 0), []byte("\r\n"))
	if !ok || string(ident) != "SSH-2.0-Sonde" {
		t.Fatalf("identification %q", ident)
	}
	length, padding := int(binary.BigEndian.Uint32(packet)), int(packet[4])
	if length != len(packet)-4 || len(packet)%8 != 0 || padding < 4 || padding > 11 {
		t.Fatalf("packet of %d bytes, length %d, padding %d", len(packet), length, padding)
	}
	payload := packet[5 : len(packet)-padding]
	const disconnect, byApplication = 1, 11
	text := int(binary.BigEndian.Uint32(payload[5:]))
	if payload[0] != disconnect || binary.BigEndian.Uint32(payload[1:]) != byApplication ||
		len(payload) != 1+4+4+text+4 {
		t.Errorf("payload %q", payload)
	}
}

// An answer to MySQL's handshake is an attempt to log in.
func TestGoodbyeThatLogsInNeedsToBeAllowed(t *testing.T) {
	for _, service := range []string{"mysql", "ssl/mysql"} {
		if got := Goodbye(service, NeedHeld|NeedIndustrial); got != nil {
			t.Errorf("%s: got %q", service, got)
		}
		if Goodbye(service, NeedCredentials) == nil {
			t.Errorf("%s: nothing although it is allowed", service)
		}
	}
}

// The client's packets of MySQL's handshake: three bytes of length, one of
// sequence. A server that asks for another plugin has number 2, so 3 answers.
func TestGoodbyeOfMySQL(t *testing.T) {
	b := Goodbye("mysql", NeedCredentials)
	n := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
	if b[3] != 1 || len(b) != 4+n+4 {
		t.Fatalf("first packet has sequence %d, length %d of %d bytes", b[3], n, len(b))
	}
	if last := b[4+n:]; !bytes.Equal(last, []byte{0, 0, 0, 3}) {
		t.Errorf("last packet %q", last)
	}
	const fixed = 4 + 4 + 1 + 23
	if got := string(b[4+fixed : 4+n]); got != "\x00\x00mysql_native_password\x00" {
		t.Errorf("user, answer and plugin: %q", got)
	}
	const protocol41, secureConnection, pluginAuth, tls = 1 << 9, 1 << 15, 1 << 19, 1 << 11
	flags := binary.LittleEndian.Uint32(b[4:])
	if flags&(protocol41|secureConnection|pluginAuth) != protocol41|secureConnection|pluginAuth || flags&tls != 0 {
		t.Errorf("capabilities %#x", flags)
	}
}

// RFC 4511 section 4.3 in BER: SEQUENCE { INTEGER, [APPLICATION 2] NULL }.
func TestGoodbyeOfLDAP(t *testing.T) {
	b := Goodbye("ldap", 0)
	if len(b) != 7 || b[0] != 0x30 || int(b[1]) != len(b)-2 || b[2] != 0x02 || b[3] != 1 || b[5] != 0x42 || b[6] != 0 {
		t.Errorf("got % x", b)
	}
}

// Every service name of the table is one that a database gives, so that none
// is there by a slip.
func TestGoodbyesAreForKnownServices(t *testing.T) {
	sources, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	db, err := Load(sources...)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{ // given by nmap's database only
		"smtp-proxy": true, "ftp-proxy": true, "imap-proxy": true, "nntp-proxy": true, "irc-proxy": true,
		"memcache": true, "jabber": true,
	}
	for r := range db.Rules() {
		known[r.Service] = true
	}
	for service := range goodbyes {
		if !known[service] {
			t.Errorf("no line gives %q", service)
		}
	}
}
