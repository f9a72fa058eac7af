package session

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sonde/probes"
)

// A part of an answer may hit a rule and give half a version. What the end of
// the visit cuts off is no identity.
func TestAnswerCutOffByTheEndOfTheVisit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := strings.Replace(testDatabase, `m|^LATE (\d+)\r\n|`, `m|^LATE (\d+)|`, 1)
		s := serve(t, func(_ *server, c net.Conn) {
			io.WriteString(c, "LATE 1")
			time.Sleep(100 * time.Millisecond)
			io.WriteString(c, "2\r\n")
			drain(c)
		})
		db := load(t, text, s.addr.Port(), false)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		o := newProber(t, s, db, DefaultSettings()).Visit(ctx, endpoint(s), Remembered{})
		if o.Outcome != probes.OutcomeInconclusive || o.Reason != "cancelled" {
			t.Errorf("%+v, reason %q", summarize(o), o.Reason)
		}
	})
}

// An answer that was cut short might have told more than what is known.
func TestAnswerCutShortBesideAnUnknownOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, func(s *server, c net.Conn) {
			if strings.HasPrefix(s.request(c), "HELLO") {
				io.WriteString(c, strings.Repeat("unknown ", 100))
				drain(c)
				return
			}
			for range 100 {
				io.WriteString(c, "H")
				time.Sleep(50 * time.Millisecond)
			}
		})
		o := visitServer(t, s, quick(), Remembered{})
		if o.Outcome != probes.OutcomeInconclusive {
			t.Errorf("%+v, reason %q", summarize(o), o.Reason)
		}
	})
}

// Where a greeting has lines behind its first end, the segments do not decide
// what the next rule sees.
func TestGreetingInSegments(t *testing.T) {
	text := strings.Replace(testDatabase, `m|^220 .*\r\n214 Boxftp`, `m|^220 .*\r\n220 .*\r\n214 Boxftp`, 1)
	for _, pause := range []time.Duration{0, time.Millisecond, 50 * time.Millisecond} {
		bubble(t, pause.String(), func(t *testing.T) {
			s := serve(t, func(s *server, c net.Conn) {
				if pause == 0 {
					io.WriteString(c, "220 box FTP\r\n220 at your service\r\n")
				} else {
					io.WriteString(c, "220 box FTP\r\n")
					time.Sleep(pause)
					io.WriteString(c, "220 at your service\r\n")
				}
				if s.request(c) == "HELP\r\n" {
					io.WriteString(c, "214 Boxftp 4\r\n")
				}
				drain(c)
			})
			db := load(t, text, s.addr.Port(), false)
			o := newProber(t, s, db, quick()).Visit(t.Context(), endpoint(s), Remembered{})
			if o.Product != "Boxftp" || o.Cost.Connections != 1 {
				t.Errorf("%+v, %d connections", summarize(o), o.Cost.Connections)
			}
		})
	}
}

// A probe that is sent into a greeting gets the greeting first. That alone is
// not the answer, though a rule may hit it.
func TestGreetingBeforeTheAnswer(t *testing.T) {
	text := testDatabase + `
Probe TCP FTPHelp q|HELP\r\n|
match ftp m|^220 | p/Some FTP/
`
	for _, known := range []Remembered{{}, {Probe: "FTPHelp"}} {
		bubble(t, known.Probe, func(t *testing.T) {
			s := serve(t, func(s *server, c net.Conn) {
				io.WriteString(c, "220 box FTP\r\n")
				if s.request(c) == "HELP\r\n" {
					time.Sleep(300 * time.Millisecond)
					io.WriteString(c, "214 Boxftp 5\r\n")
				}
				drain(c)
			})
			db := load(t, text, s.addr.Port(), false)
			o := newProber(t, s, db, quick()).Visit(t.Context(), endpoint(s), known)
			if o.Product != "Boxftp" || o.Cost.Connections != 1 || o.Cost.Probes != 1 {
				t.Errorf("%+v, cost %+v", summarize(o), o.Cost)
			}
		})
	}
}

// A server that serves one client and turns the others away must not lose its
// one place to our own listening.
func TestServerThatTurnsTheSecondClientAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := make(chan struct{}, 1)
		s := serve(t, func(s *server, c net.Conn) {
			select {
			case busy <- struct{}{}:
			default:
				reset(c)
				return
			}
			if strings.HasPrefix(s.request(c), "GET") {
				io.WriteString(c, page)
			}
			drain(c)
			<-busy
		})
		o := visitServer(t, s, quick(), Remembered{})
		if o.Product != "Boxweb" || o.Cost.Connections != 2 || o.Cost.Probes != 2 {
			t.Errorf("%+v, cost %+v, errors %q", summarize(o), o.Cost, o.Errors)
		}
	})
}

// What little is left of the waiting budget is no time for a probe: rounding
// would decide whether it is asked.
func TestNoProbeInTheLastMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, func(_ *server, c net.Conn) { drain(c) })
		settings := quick()
		settings.Connections = 1
		settings.MaxWait = 1200*time.Millisecond + 600*time.Millisecond + 5*glance
		o := visitServer(t, s, settings, Remembered{})
		if !slices.Equal(o.Asked, []string{"GetRequest"}) {
			t.Errorf("asked %q", o.Asked)
		}
	})
}

// Whatever a late greeting says, no third connection is open beside it.
func TestTwoConnectionsAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := strings.Replace(testDatabase, "match late ", "match ssl m|^\\x15\\x03|\nmatch late ", 1)
		most, cfg := 0, newTLSConfig(t)
		s := serve(t, func(s *server, c net.Conn) {
			most = max(most, s.dialer.open())
			switch s.count() {
			case 1:
				time.Sleep(100 * time.Millisecond)
				io.WriteString(c, "\x15\x03\x01\x00\x02\x02\x28")
			case 2:
			default:
				inside(cfg, func(_ *server, c net.Conn) { drain(c) })(s, c)
			}
			drain(c)
		})
		db := load(t, text, s.addr.Port(), false)
		o := newProber(t, s, db, quick()).Visit(t.Context(), endpoint(s), Remembered{})
		if most != 2 || s.count() < 3 {
			t.Errorf("%d connections at once of %d, %+v", most, s.count(), summarize(o))
		}
	})
}

// A full buffer has no place for the answer of the next probe.
func TestEndlessGreetingIsNotTalkedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, func(s *server, c net.Conn) {
			if s.count() == 1 {
				io.WriteString(c, strings.Repeat("y", DefaultMaxAnswer+1))
			}
			if strings.HasPrefix(s.request(c), "GET") {
				io.WriteString(c, page)
			}
			drain(c)
		})
		if o := visitServer(t, s, quick(), Remembered{}); o.Product != "Boxweb" {
			t.Errorf("%+v, asked %q", summarize(o), o.Asked)
		}
	})
}

// A remembered greeting that is another one by now is what the ladder begins
// with, not a reason to connect once more.
func TestRememberedGreetingIsHeardOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, func(s *server, c net.Conn) {
			io.WriteString(c, "220 box FTP\r\n")
			if s.request(c) == "HELP\r\n" {
				io.WriteString(c, "214 Boxftp 6\r\n")
			}
			drain(c)
		})
		o := visitServer(t, s, quick(), Remembered{Probe: "NULL"})
		want := summary{
			probes.OutcomeAnswered, probes.Hard, "ftp", "Boxftp", "6", "FTPHelp", "", probes.Open,
		}
		if diff := cmp.Diff(want, summarize(o)); diff != "" || o.Cost.Connections != 1 {
			t.Error(diff, o.Cost.Connections)
		}
	})
}

// A remembered greeting that is late has the reference's full time, and no
// probe disturbs it.
func TestRememberedGreetingIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, func(s *server, c net.Conn) {
			time.Sleep(time.Second)
			io.WriteString(c, "LATE 3\r\n")
			drain(c)
		})
		o := visitServer(t, s, quick(), Remembered{Probe: "NULL"})
		if o.Version != "3" || o.Cost.Connections != 1 || o.Cost.Probes != 0 {
			t.Errorf("%+v, cost %+v", summarize(o), o.Cost)
		}
	})
}
