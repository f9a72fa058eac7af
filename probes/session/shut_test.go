package session

import (
	"io"
	"net"
	"strings"
	"testing"

	"sonde/probes"
)

// What changes at a server that let nobody in is seen at the next visit, or when
// all is to be looked at anew.
func TestServerThatWasShut(t *testing.T) {
	cfg := newTLSConfig(t)
	box := certificateOf(cfg)
	other := certificateOf(newTLSConfig(t))
	old := answers(handshakeFailure, tlsFlight(0x0301, 0x0003, box))
	// What crypto/tls offers is taken by now, what we offer by hand is met as before.
	both := func(s *server, c net.Conn) {
		first := make([]byte, 512)
		n, err := io.ReadAtLeast(c, first, 100)
		switch {
		case err != nil:
		case isOurs(string(first[:n])):
			io.WriteString(c, tlsFlight(0x0301, 0x0003, box))
			drain(c)
		default:
			inside(cfg, reply(page))(s, pushedBack{c, first[:n]}.reader())
		}
	}
	for _, tt := range []struct {
		name        string
		now         func(*server, net.Conn)
		due         bool
		connections int
		product     string
		remembered  bool
		offered     string
	}{
		{"as before", old, false, 1, "", true, "TLS 1.3, TLS 1.2"},
		{"as before, looked at anew", old, true, 2, "", false, "TLS 1.3, TLS 1.2"},
		{"another certificate", answers(handshakeFailure, tlsFlight(0x0301, 0x0003, other)), false, 3, "", false, "TLS 1.3, TLS 1.2"},
		{"lets us in", inside(cfg, reply(page)), false, 2, "Boxweb", false, ""},
		{"lets us in, and shows the same", both, false, 1, "", true, "TLS 1.3, TLS 1.2"},
		{"lets us in, looked at anew", both, true, 1, "Boxweb", false, ""},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			s := serve(t, old)
			db := load(t, testDatabase, s.addr.Port(), true)
			first := newProber(t, s, db, quick()).Visit(t.Context(), endpoint(s), Remembered{})
			s = serve(t, tt.now)
			known := Recall(&first)
			known.Extras = tt.due
			db = load(t, testDatabase, s.addr.Port(), true)
			o := newProber(t, s, db, quick()).Visit(t.Context(), endpoint(s), known)
			if o.Cost.Connections != tt.connections || o.Product != tt.product || o.Tunnel != probes.TLS || len(o.TLS) != 1 {
				t.Fatalf("%+v, %d connections, facts %+v, errors %q", summarize(o), o.Cost.Connections, o.TLS, o.Errors)
			}
			if f := o.TLS[0]; f.Remembered != tt.remembered || f.Offered != tt.offered || f.Certificate == nil {
				t.Errorf("facts %+v", f)
			}
		})
	}
}

// A server that says in clear that it wants TLS, and lets nobody in, is asked
// only that as long as it says so.
func TestServerThatWasShutAndSaidSo(t *testing.T) {
	const wrongDoor = "HTTP/1.1 400 Bad\r\n\r\nThe plain HTTP request was sent to HTTPS port"
	says := func(plain, toHello string) func(*server, net.Conn) {
		return func(s *server, c net.Conn) {
			if strings.HasPrefix(s.request(c), "GET") {
				io.WriteString(c, plain)
				return
			}
			io.WriteString(c, toHello)
		}
	}
	alert := "\x15\x03\x03\x00\x02\x02\x28"
	for _, tt := range []struct {
		name        string
		now         func(*server, net.Conn)
		connections int
		tunnel      probes.Tunnel
		version     string
	}{
		{"as before", says(wrongDoor, alert), 1, probes.TLS, ""},
		{"lets us in, and says the same in clear", inside(newTLSConfig(t), reply(page)), 1, probes.TLS, ""},
		{"in clear now", says(page, "HTTP/1.1 400 Bad\r\n\r\n"), 0, probes.NoTunnel, "1.2"},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			s := serve(t, says(wrongDoor, alert))
			first := visitServer(t, s, quick(), Remembered{})
			known := Recall(&first)
			if first.Product != "Boxweb" || known.Shut == nil {
				t.Fatalf("%+v", summarize(first))
			}
			s = serve(t, tt.now)
			o := visitServer(t, s, quick(), known)
			if o.Product != "Boxweb" || o.Version != tt.version || o.Tunnel != tt.tunnel ||
				tt.connections > 0 && o.Cost.Connections != tt.connections {
				t.Errorf("%+v, %d connections, errors %q", summarize(o), o.Cost.Connections, o.Errors)
			}
		})
	}
}
