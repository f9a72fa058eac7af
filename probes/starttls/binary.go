package starttls

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// startTLSOID names the extended operation of RFC 4511, section 4.14.
const startTLSOID = "1.3.6.1.4.1.1466.20037"

// maxLDAP is how long an answer to it may be: a result code, two texts and the
// name of the operation.
const maxLDAP = 4096

// ldap is the dialogue of RFC 4511.
func ldap(t *talk, _ Options) step {
	t.say("\x30\x1d" + // an LDAPMessage of 29 bytes
		"\x02\x01\x01" + // with the id 1,
		"\x77\x18" + // an ExtendedRequest of 24 bytes
		"\x80\x16" + startTLSOID)
	return func(t *talk) (step, bool) {
		tag, body, rest, err := element(t.in)
		switch {
		case err != nil:
			return t.broken("not an LDAP message: " + err.Error())
		case rest < 0:
			return nil, false
		case tag != 0x30:
			return t.broken(fmt.Sprintf("not an LDAP message: tag %#x", tag))
		}
		t.in = t.in[len(t.in)-rest:]
		code, text, ok := ldapResult(body)
		switch {
		case !ok:
			return t.broken("not a response to an extended request")
		case code != 0:
			return t.refused("result code %d %s", code, text)
		}
		return t.ready()
	}
}

// ldapResult reads an ExtendedResponse inside a message: its result code and
// its diagnostic message.
func ldapResult(message []byte) (code byte, text []byte, ok bool) {
	for i, want := range []byte{0x02, 0x78} { // the id, the response
		tag, body, rest, err := element(message)
		if err != nil || rest < 0 || tag != want {
			return 0, nil, false
		}
		message = message[len(message)-rest:]
		if i == 1 {
			message = body
		}
	}
	var parts [3][]byte // result code, matched name, diagnostic message
	for i, want := range []byte{0x0a, 0x04, 0x04} {
		tag, body, rest, err := element(message)
		if err != nil || rest < 0 || tag != want {
			return 0, nil, false
		}
		parts[i], message = body, message[len(message)-rest:]
	}
	if len(parts[0]) != 1 {
		return 0, nil, false
	}
	return parts[0][0], parts[2], true
}

// element reads a BER element with a definite length. rest is how many bytes
// of b follow it, or negative when it is not all there.
func element(b []byte) (tag byte, body []byte, rest int, err error) {
	if len(b) < 2 {
		return 0, nil, -1, nil
	}
	head, length := 2, int(b[1])
	if length >= 0x80 {
		n := length & 0x7f
		if n < 1 || n > 4 {
			return 0, nil, 0, fmt.Errorf("length of %d bytes", n)
		}
		if len(b) < 2+n {
			return 0, nil, -1, nil
		}
		var wide uint32
		for _, c := range b[2 : 2+n] {
			wide = wide<<8 | uint32(c)
		}
		head, length = 2+n, int(min(wide, maxLDAP+1))
	}
	if length > maxLDAP {
		return 0, nil, 0, fmt.Errorf("more than %d bytes", maxLDAP)
	}
	if len(b) < head+length {
		return b[0], nil, -1, nil
	}
	return b[0], b[head : head+length], len(b) - head - length, nil
}

// postgres asks by an SSLRequest, which is answered by one byte.
func postgres(t *talk, _ Options) step {
	t.say("\x00\x00\x00\x08\x04\xd2\x16\x2f") // length 8, code 80877103
	return func(t *talk) (step, bool) {
		b, ok := t.take(1)
		if !ok {
			return nil, false
		}
		switch b[0] {
		case 'S':
			return t.ready()
		case 'N':
			t.in = nil
			return t.refused("offers no TLS")
		case 'E':
			t.in = nil
			return t.refused("answered with an error")
		}
		return t.broken(fmt.Sprintf("answered with byte %#x", b[0]))
	}
}

// The facts of MySQL's handshake, protocol 10.
const (
	// maxGreeting is how long the greeting may be: a version text, 21 bytes of
	// salt, the name of a plugin, and some 30 bytes beside.
	maxGreeting = 1024

	clientLongPassword = 1 << 0
	clientProtocol41   = 1 << 9
	clientSSL          = 1 << 11
	clientSecure       = 1 << 15
	charsetUTF8        = 33
	maxPacket          = 1 << 24
)

// mysql answers the greeting of a server with an SSL request: the beginning of
// a login, without a user, after which the handshake follows at once.
func mysql(*talk, Options) step {
	return func(t *talk) (step, bool) {
		if len(t.in) < 4 {
			return nil, false
		}
		length := int(t.in[0]) | int(t.in[1])<<8 | int(t.in[2])<<16
		sequence := t.in[3]
		if length == 0 || length > maxGreeting {
			return t.broken(fmt.Sprintf("a greeting of %d bytes", length))
		}
		if len(t.in) < 4+length {
			return nil, false
		}
		packet, _ := t.take(4 + length)
		switch packet[4] {
		case 10:
			return mysqlGreeting(t, packet[5:], sequence)
		case 0xff:
			return t.refused("error %s", mysqlError(packet[5:]))
		}
		return t.broken(fmt.Sprintf("protocol version %d", packet[4]))
	}
}

func mysqlError(b []byte) string {
	if len(b) < 2 {
		return "without a number"
	}
	return fmt.Sprintf("%d %s", binary.LittleEndian.Uint16(b), b[2:])
}

func mysqlGreeting(t *talk, b []byte, sequence byte) (step, bool) {
	// The version ends with a zero; a thread id of 4 bytes, 8 of salt and a
	// zero follow, and then the capabilities.
	zero := bytes.IndexByte(b, 0)
	const between = 1 + 4 + 8 + 1
	if zero < 0 || len(b) < zero+between+2 {
		return t.broken("a greeting cut short")
	}
	capabilities := uint32(binary.LittleEndian.Uint16(b[zero+between:]))
	if capabilities&clientSSL == 0 {
		return t.refused("offers no TLS")
	}
	flags := capabilities & (clientLongPassword | clientProtocol41 | clientSSL | clientSecure)
	request := make([]byte, 36) // length 32, sequence, and 23 zero bytes at the end
	request[0], request[3] = 32, sequence+1
	binary.LittleEndian.PutUint32(request[4:], flags|clientProtocol41)
	binary.LittleEndian.PutUint32(request[8:], maxPacket)
	request[12] = charsetUTF8
	t.say(string(request))
	return t.ready()
}

// rdp negotiates as [MS-RDPBCGR] 2.2.1.1 says: X.224 with a request for TLS,
// also below CredSSP.
func rdp(t *talk, _ Options) step {
	t.say("\x03\x00\x00\x13" + // TPKT, 19 bytes
		"\x0e\xe0\x00\x00\x00\x00\x00" + // connection request
		"\x01\x00\x08\x00\x0b\x00\x00\x00") // negotiation: TLS, CredSSP, CredSSP early
	return func(t *talk) (step, bool) {
		if len(t.in) < 4 {
			return nil, false
		}
		length := int(binary.BigEndian.Uint16(t.in[2:]))
		if t.in[0] != 3 || length < 11 || length > 64 {
			return t.broken("not an X.224 answer")
		}
		answer, ok := t.take(length)
		switch {
		case !ok:
			return nil, false
		case answer[5]&0xf0 != 0xd0:
			return t.broken(fmt.Sprintf("not a connection confirm: %#x", answer[5]))
		case length < 19:
			return t.refused("speaks RDP's own security only")
		}
		value := binary.LittleEndian.Uint32(answer[15:])
		switch kind := answer[11]; {
		case kind == 2 && value != 0:
			return t.ready()
		case kind == 2:
			return t.refused("chose RDP's own security")
		case kind == 3:
			return t.refused("negotiation failure %d", value)
		}
		return t.broken(fmt.Sprintf("negotiation answer of type %d", answer[11]))
	}
}
