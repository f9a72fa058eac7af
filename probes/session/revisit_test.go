package session

import (
	"net"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
)

func TestRememberedProbe(t *testing.T) {
	greet := "SSH-2.0-OpenSSH_9.2p1\r\n"
	tests := []struct {
		name        string
		talk        func(*server, net.Conn)
		known       Remembered
		product     string
		connections int
		requests    []string
	}{
		{"greeting", write(greet), Remembered{Probe: "NULL"}, "OpenSSH", 1, nil},
		{
			"request", reply(page), Remembered{Probe: "GetRequest"},
			"Boxweb", 1, []string{"GET / HTTP/1.0\r\n\r\n"},
		},
		{
			"another service by now", reply("HI 4\r\n"), Remembered{Probe: "NULL"},
			"Hello", 3, []string{"GET / HTTP/1.0\r\n\r\n", "HELLO\r\n"},
		},
		{"a probe that is gone", write(greet), Remembered{Probe: "Nothing"}, "OpenSSH", 1, nil},
		{
			"only a soft match, as before", write("220 FTP\r\n"),
			Remembered{Probe: "NULL", Soft: "ftp"}, "", 1, nil,
		},
		{
			"not allowed any more", write(greet), Remembered{Probe: "Login"}, "OpenSSH", 1, nil,
		},
	}
	for _, tt := range tests {
		bubble(t, tt.name, func(t *testing.T) {
			s := serve(t, tt.talk)
			o := visitServer(t, s, quick(), tt.known)
			if o.Product != tt.product || s.count() != tt.connections {
				t.Errorf("%+v after %d connections", summarize(o), s.count())
			}
			if diff := cmp.Diff(tt.requests, s.requests()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestKnownServiceThatClosesAtOnceIsBlocked(t *testing.T) {
	synctest.Test(t, knownServiceThatClosesAtOnceIsBlocked)
}

func knownServiceThatClosesAtOnceIsBlocked(t *testing.T) {
	s := serve(t, func(*server, net.Conn) {})
	o := visitServer(t, s, quick(), Remembered{Probe: "NULL"})
	if o.Outcome != probes.OutcomeBlocked {
		t.Errorf("outcome %s", o.Outcome)
	}
}
