package visitor

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sonde/probes"
	"sonde/probes/session"
)

const database = `
Probe TCP NULL q||
totalwaitms 2000
match ssh m|^SSH-2\.0-Box_([\d.]+)\r\n| p/Box SSH/ v/$1/
Probe TCP GetRequest q|GET / HTTP/1.0\r\n\r\n|
rarity 1
ports 1-65535
totalwaitms 2000
match http m|^HTTP/1\.[01] \d\d\d .*\r\nServer: Box/([\d.]+)\r\n|s p/Box web/ v/$1/
Probe UDP Ask q|?|
rarity 1
ports 1-65535
totalwaitms 2000
match box m|^box ([\d.]+)$| p/Box/ v/$1/
`

// TestProber visits real servers with the machine of package session.
func TestProber(t *testing.T) {
	web := func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nServer: Box/3.1\r\nContent-Length: 2\r\n\r\nhi")
		}
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		for n := 0; ; n++ {
			_, from, err := udp.ReadFrom(make([]byte, 100))
			if err != nil {
				return
			}
			if n > 0 { // the first is lost
				udp.WriteTo([]byte("box 4.2"), from)
			}
		}
	}()
	t.Cleanup(func() { udp.Close(); <-answered })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()

	db, err := probes.Load(probes.Source{Name: "test.probes", Data: []byte(database)})
	if err != nil {
		t.Fatal(err)
	}
	p, err := session.New(session.Config{Database: db, Settings: session.DefaultSettings()})
	if err != nil {
		t.Fatal(err)
	}
	v, err := New(Config{Loops: realLoops(t), Prober: p})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		ep      probes.Endpoint
		outcome probes.Outcome
		want    string // tunnel, product, version
	}{
		{"a greeting", endpoint(serve(t, func(c net.Conn) {
			io.WriteString(c, "SSH-2.0-Box_1.2\r\n")
			io.Copy(io.Discard, c)
		}), probes.TCP), probes.OutcomeAnswered, " Box SSH 1.2"},
		{"an answer", endpoint(serve(t, web), probes.TCP), probes.OutcomeAnswered, " Box web 3.1"},
		{"in a known tunnel", serveTLS(t, &tls.Config{}, func(c *tls.Conn) { web(c) }), probes.OutcomeAnswered, "tls Box web 3.1"},
		{"the second datagram", endpoint(udp.LocalAddr().(*net.UDPAddr).AddrPort(), probes.UDP), probes.OutcomeAnswered, " Box 4.2"},
		{"nobody", endpoint(closed.Addr().(*net.TCPAddr).AddrPort(), probes.TCP), probes.OutcomeRefused, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			known := session.Remembered{}
			if tt.name == "in a known tunnel" {
				known = session.Remembered{Probe: "GetRequest", Tunnel: probes.TLS}
			}
			o := v.Visit(t.Context(), tt.ep, known)
			got := strings.TrimRight(string(o.Tunnel)+" "+o.Product+" "+o.Version, " ")
			if o.Outcome != tt.outcome || got != tt.want {
				t.Errorf("%s, %q, want %s, %q; %+v", o.Outcome, got, tt.outcome, tt.want, o)
			}
			if o.Outcome != probes.OutcomeAnswered {
				return
			}
			again := v.Visit(t.Context(), tt.ep, session.Recall(&o))
			if again.Identity.String() != o.Identity.String() || again.Cost.Connections > 1 {
				t.Errorf("a revisit: %+v, the first: %+v", again, o)
			}
		})
	}
	began := time.Now()
	v.Close()
	if d := time.Since(began); d > lingerLimit/2 {
		t.Errorf("closing took %v", d)
	}
}

func TestNewWants(t *testing.T) {
	if _, err := New(Config{Loops: realLoops(t)}); err == nil {
		t.Error("no error without a prober")
	}
	if _, err := New(Config{Prober: new(session.Prober)}); err == nil {
		t.Error("no error without loops")
	}
}
