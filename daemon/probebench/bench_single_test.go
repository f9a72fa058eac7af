//go:build bench

package probebench

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sonde/probes"
)

const (
	// cable is the delay each way of the far client: large against what a
	// busy machine adds.
	cable = 50 * time.Millisecond
	// grace is the first word that a first visit may leave to the peer.
	grace = 250 * time.Millisecond
	// maxFirstTrips and maxAgainTrips bound the round trips of a visit.
	maxFirstTrips, maxAgainTrips = 4, 3
	// maxSilent bounds a port that accepts and says nothing.
	maxSilent = 20 * time.Second
	// noise is what the clock of a shared machine is worth.
	noise = 20 * time.Millisecond
	// samples of each time; the least counts.
	samples = 5
)

// measureSingle visits SSH, HTTP and HTTPS alone, near and at the end of a
// long cable, so that what takes longer there is told in round trips.
func measureSingle(t *testing.T) {
	all := theLab(t)
	far := farAway(t, cable, 0)
	t.Logf("%-22s %9s %9s %7s %9s %9s %7s %9s %9s", "", "first ms", "far", "trips", "again ms", "far", "trips", "server ms", "nmap ms")
	for _, s := range []struct {
		box, service string
		port         uint16
	}{{"openssh", "ssh", 22}, {"nginx", "http", 80}, {"nginx", "https", 443}} {
		i := slices.IndexFunc(all, func(tr truth) bool { return tr.Box == s.box && tr.Port == s.port })
		if i < 0 {
			t.Errorf("%s is not up", s.box)
			continue
		}
		at := netip.AddrPortFrom(all[i].Addr, s.port)
		first, again := single(t, labNamespace, at)
		farFirst, farAgain := single(t, far, at)
		server := serverTime(t, at, s.service)
		_, nmapTook := nmapScan(t, labNamespace, "nmap-"+s.service+".xml", []string{at.Addr().String()}, fmt.Sprintf("T:%d", at.Port()))
		trips := func(near, away time.Duration) float64 { return (away - near).Seconds() / (2 * cable).Seconds() }
		t.Logf("%-22s %9.0f %9.0f %7.1f %9.0f %9.0f %7.1f %9.1f %9.0f", s.service+" "+at.String(), ms(first), ms(farFirst),
			trips(first, farFirst), ms(again), ms(farAgain), trips(again, farAgain), ms(server), ms(nmapTook))
		for _, c := range []struct {
			name string
			took time.Duration
			most time.Duration
		}{
			{"first visit", first, grace + server},
			{"far first visit", farFirst, grace + maxFirstTrips*2*cable + server},
			{"revisit", again, server},
			{"far revisit", farAgain, maxAgainTrips*2*cable + server},
		} {
			if c.took > c.most+noise {
				t.Errorf("%s: %s takes %.0f ms, want at most %.0f", s.service, c.name, ms(c.took), ms(c.most))
			}
		}
	}
}

// single gives the times of a first visit and of a revisit.
func single(t *testing.T, ns string, at netip.AddrPort) (first, again time.Duration) {
	t.Helper()
	for range samples {
		var r visitResult
		start(t, ns, "visit", visitSpec{Jobs: []job{{Addr: at.Addr(), Port: at.Port(), Transport: probes.TCP}},
			Rounds: 2}, nil).wait(&r)
		v := r.Visits[0]
		for i, best := range []*time.Duration{&first, &again} {
			if v[i].Strength != probes.Hard {
				t.Fatalf("%v: visit %d: %s %s", at, i+1, v[i].Outcome, v[i].Strength)
			}
			if took := time.Duration(v[i].Micros) * time.Microsecond; *best == 0 || took < *best {
				*best = took
			}
		}
	}
	return first, again
}

// serverTime is what the same conversation takes when nobody waits for
// anything but the server, which is near.
func serverTime(t *testing.T, at netip.AddrPort, service string) time.Duration {
	t.Helper()
	var best time.Duration
	for range samples {
		took, err := inNamespace(labNamespace, func() (time.Duration, error) { return converse(at, service) })
		if err != nil {
			t.Fatalf("%s: %v", service, err)
		}
		if best == 0 || took < best {
			best = took
		}
	}
	return best
}

func converse(at netip.AddrPort, service string) (time.Duration, error) {
	begin := time.Now()
	c, err := net.DialTimeout("tcp4", at.String(), 5*time.Second)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if service == "https" {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	if strings.HasPrefix(service, "http") {
		if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
			return 0, err
		}
	}
	_, err = c.Read(make([]byte, 4096))
	if errors.Is(err, io.EOF) { // an answer too, for who is not asked by name
		err = nil
	}
	return time.Since(begin), err
}

// measureSilent gives the time of a port that accepts and stays silent. The
// reference scanner asks it at the same time; show waits for its end and tells
// both.
func measureSilent(t *testing.T) (took time.Duration, show func()) {
	ns := crowdNamespace(t)
	server := start(t, ns, "serve", serveSpec{Port: crowdPort}, nil)
	at := peerAt(1)
	_, nmapTook := startNmap(t, ns, "nmap-silent.xml", []string{at.String()}, fmt.Sprintf("T:%d", crowdPort))
	var r visitResult
	start(t, ns, "visit", visitSpec{Jobs: []job{{Addr: at, Port: crowdPort, Transport: probes.TCP}}}, nil).wait(&r)
	v := r.Visits[0][0]
	took = time.Duration(v.Micros) * time.Microsecond
	if v.Outcome != probes.OutcomeSilent || took > maxSilent+noise {
		t.Errorf("a silent port is %s after %v, want silent after at most %v", v.Outcome, took, maxSilent)
	}
	return took, func() {
		t.Logf("a silent port: %v, %d connections, %d probes, outcome %s; the reference takes %v",
			took.Round(time.Millisecond), v.Cost.Connections, v.Cost.Probes, v.Outcome, nmapTook().Round(100*time.Millisecond))
		server.stop(nil)
	}
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }
