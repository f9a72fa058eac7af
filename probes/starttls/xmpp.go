package starttls

import (
	"bytes"
	"fmt"
	"strings"
)

// nsTLS is the namespace of STARTTLS in XMPP (RFC 6120, section 5).
const nsTLS = "urn:ietf:params:xml:ns:xmpp-tls"

// xmpp is the dialogue of RFC 6120, section 5, as a client or as a server.
func xmpp(namespace string) func(*talk, Options) step {
	return func(t *talk, o Options) step {
		to := ""
		if isDomain(o.Host) {
			to = " to='" + o.Host + "'"
		}
		t.say("<?xml version='1.0'?><stream:stream" + to + " xmlns='" + namespace +
			"' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>")
		return onTag(xmppStream)
	}
}

// xmppStream expects the server's stream.
func xmppStream(t *talk, tag tag) (step, bool) {
	if tag.local != "stream" || tag.end {
		return t.broken("not a stream: <" + tag.name + ">")
	}
	return onTag(xmppFeatures), true
}

// xmppFeatures looks for the offer.
func xmppFeatures(t *talk, tag tag) (step, bool) {
	switch {
	case tag.local == "error" && !tag.end:
		return onTag(xmppError), true
	case tag.local == "starttls" && !tag.end:
		return onTag(xmppOffered), true
	case tag.local == "features" && (tag.end || tag.empty):
		return t.refused("offers no STARTTLS")
	case tag.local == "stream" && tag.end:
		return t.refused("closed the stream")
	}
	return onTag(xmppFeatures), true
}

// xmppOffered waits for the end of the features, as it is the end of what the
// server says.
func xmppOffered(t *talk, tag tag) (step, bool) {
	switch {
	case tag.local == "features" && tag.end:
		t.say("<starttls xmlns='" + nsTLS + "'/>")
		return onTag(xmppConsent), true
	case tag.local == "stream" && tag.end:
		return t.refused("closed the stream")
	}
	return onTag(xmppOffered), true
}

func xmppConsent(t *talk, tag tag) (step, bool) {
	switch {
	case tag.local == "proceed" && tag.empty:
		return t.ready()
	case tag.local == "proceed" && tag.end:
		return t.ready()
	case tag.local == "proceed":
		return onTag(xmppConsent), true
	case tag.local == "error" && !tag.end:
		return onTag(xmppError), true
	case tag.local == "failure":
		return t.refused("failure")
	}
	return t.broken("neither consent nor refusal: <" + tag.name + ">")
}

// xmppError names the first element inside a stream error: its condition.
func xmppError(t *talk, tag tag) (step, bool) {
	return t.refused("stream error %s", tag.name)
}

// A tag is one tag of XML.
type tag struct {
	name  string // as written, with its prefix
	local string // without it
	end   bool   // </name>
	empty bool   // <name/>
}

// onTag reads the next tag; text between tags, and the XML declaration, are
// passed over. It is not a parser of XML: what RFC 6120, section 11.1, forbids
// in a stream breaks the dialogue.
func onTag(do func(t *talk, tag tag) (step, bool)) step {
	return func(t *talk) (step, bool) {
		virgin := t.total == len(t.in)
		text, rest, found := bytes.Cut(t.in, []byte("<"))
		switch {
		case virgin && len(bytes.TrimSpace(text)) > 0:
			return t.broken("not XML: " + quote(string(t.in)))
		case !found:
			return nil, false
		}
		inner, ok := untilClose(rest[:min(len(rest), MaxLine)])
		switch {
		case !ok && len(rest) >= MaxLine:
			return t.broken(fmt.Sprintf("a tag of more than %d bytes", MaxLine))
		case !ok:
			return nil, false
		}
		t.in = rest[len(inner)+1:]
		switch {
		case strings.HasPrefix(inner, "!"):
			return t.broken("not allowed in a stream: <" + inner)
		case strings.HasPrefix(inner, "?"):
			return onTag(do), true
		}
		return do(t, parseTag(inner))
	}
}

// untilClose gives what stands before the ">" that ends a tag, which is none in
// quotes.
func untilClose(b []byte) (inner string, ok bool) {
	var quote byte
	for i, c := range b {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '>':
			return string(b[:i]), true
		}
	}
	return "", false
}

func parseTag(inner string) tag {
	var g tag
	inner, g.end = strings.CutPrefix(inner, "/")
	inner, g.empty = strings.CutSuffix(inner, "/")
	name, _, _ := strings.Cut(strings.Join(strings.Fields(inner), " "), " ")
	g.name, g.local = name, name
	if _, local, ok := strings.Cut(name, ":"); ok {
		g.local = local
	}
	return g
}
