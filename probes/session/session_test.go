package session

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"sonde/probes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testDatabase is small enough to reason about. PORT and TLSPORT stand for the
// ports of the servers of a test.
const testDatabase = `
Probe TCP NULL q||
totalwaitms 1200
tcpwrappedms 600
match ssh m|^SSH-2\.0-OpenSSH_(\S+)\r\n| p/OpenSSH/ v/$1/
match smtp m|^220 (\S+) ESMTP Boxmail (\S+)\r\n| p/Boxmail/ v/$2/ h/$1/
softmatch ftp m|^220 .*FTP|
match late m|^LATE (\d+)\r\n| p/Latecomer/ v/$1/

Probe TCP GetRequest q|GET / HTTP/1.0\r\n\r\n|
ports 80,PORT
sslports 443,TLSPORT
rarity 1
totalwaitms 600
match http m|^HTTP/1\.[01] 200 .*\r\nServer: Boxweb/(\S+)\r\n.*<title>Box</title>|s p/Boxweb/ v/$1/
match ssl/http m|^HTTP/1\.[01] 400 .*plain HTTP request was sent to HTTPS port|s p/Boxweb/
softmatch http m|^HTTP/1\.[01] \d\d\d |

Probe TCP FTPHelp q|HELP\r\n|
rarity 9
totalwaitms 600
match ftp m|^220 .*\r\n214 Boxftp (\S+)\r\n| p/Boxftp/ v/$1/

Probe TCP Hello q|HELLO\r\n|
rarity 3
totalwaitms 600
fallback GetRequest
match hello m|^HI (\d+)\r\n| p/Hello/ v/$1/
match bulk m|^x+$| p/Bulk/

# needs: credentials
Probe TCP Login q|LOGIN guest\r\n|
rarity 2
match login m|^OK| p/Login/

Probe TCP TLSSessionReq q|\x16\x03\x01\x00\x07\x01\x00\x00\x03\x03\x03\x00|
rarity 4
totalwaitms 600
match ssl m|^[\x15\x16]\x03|

Probe UDP Echo q|echo?|
ports PORT
rarity 1
totalwaitms 900
match echo m|^echo (\d+)!$| p/Echo/ v/$1/

Probe UDP Other q|other?|
rarity 2
totalwaitms 900
match other m|^other| p/Other/
`

// load makes a database of testDatabase for the server at port.
func load(t *testing.T, text string, port uint16, isTLS bool) *probes.Database {
	t.Helper()
	number := netip.AddrPortFrom(netip.IPv4Unspecified(), port).String()[len("0.0.0.0:"):]
	plain, tunnelled := number, "1"
	if isTLS {
		plain, tunnelled = "1", number
	}
	data := bytes.ReplaceAll([]byte(text), []byte("TLSPORT"), []byte(tunnelled))
	data = bytes.ReplaceAll(data, []byte("PORT"), []byte(plain))
	db, err := probes.Load(probes.Source{Name: "test.probes", Data: data})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// quick are settings under which a test need not wait for long.
func quick() Settings {
	s := DefaultSettings()
	s.NullGrace = 60 * time.Millisecond
	s.Settle = 120 * time.Millisecond
	s.ConnectTimeout = time.Second
	s.TLSTimeout = time.Second
	return s
}

// A server talks with each of its clients as a script says.
type server struct {
	addr    netip.AddrPort
	dialer  *lanDialer    // nil: on the network
	latency time.Duration // of a connect in memory

	mu          sync.Mutex
	connections int
	received    []string // the first read of each connection, in order
}

func (s *server) accepted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connections++
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

func (s *server) heard(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received = append(s.received, text)
}

func (s *server) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.received...)
}

// serveLoopback runs a TCP server on a loopback address until the test ends.
func serveLoopback(t *testing.T, network string, talk func(s *server, c net.Conn)) *server {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "tcp6" {
		address = "[::1]:0"
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Skipf("listen on %s: %v", address, err)
	}
	s := &server{addr: l.Addr().(*net.TCPAddr).AddrPort()}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.accepted()
			stop := context.AfterFunc(ctx, func() { c.Close() })
			wg.Go(func() {
				defer stop()
				defer c.Close()
				talk(s, c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		cancel()
		wg.Wait()
	})
	return s
}

// request reads once, as a server that takes what comes in one piece.
func (s *server) request(c net.Conn) string {
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	if err != nil {
		return ""
	}
	s.heard(string(buf[:n]))
	return string(buf[:n])
}

// drain waits for the client to close.
func drain(c net.Conn) { io.Copy(io.Discard, c) }

// reset closes c so that the peer sees no orderly end.
func reset(c net.Conn) {
	if c, ok := c.(*net.TCPConn); ok {
		c.SetLinger(0)
		c.Close()
		return
	}
	c.(*lanConn).reset()
}

// bubble runs a test in a bubble of its own, in which time jumps on whenever
// everybody waits.
func bubble(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

func endpoint(s *server) probes.Endpoint {
	return probes.Endpoint{Addr: s.addr.Addr(), Port: s.addr.Port(), Transport: probes.TCP}
}

func newProber(t *testing.T, s *server, db *probes.Database, settings Settings) *dialProber {
	t.Helper()
	cfg := dialConfig{Database: db, Settings: settings}
	if s != nil && s.dialer != nil {
		cfg.Dialer = s.dialer
	}
	p, err := newDialProber(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// visit asks a server with the test database, on which its port is listed.
func visitServer(t *testing.T, s *server, settings Settings, known Remembered) probes.Observation {
	t.Helper()
	db := load(t, testDatabase, s.addr.Port(), false)
	return newProber(t, s, db, settings).Visit(t.Context(), endpoint(s), known)
}

// summary is what most tests look at.
type summary struct {
	Outcome  probes.Outcome
	Strength probes.Strength
	Service  string
	Product  string
	Version  string
	Probe    string
	Tunnel   probes.Tunnel
	State    probes.State
}

// summarize drops what only the number of a test's own port suggests: it is
// another one in each run.
func summarize(o probes.Observation) summary {
	if o.Strength == probes.Table {
		o.Strength, o.Service = probes.Unmatched, ""
	}
	return summary{
		Outcome: o.Outcome, Strength: o.Strength, Service: o.Service, Product: o.Product,
		Version: o.Version, Probe: o.Probe, Tunnel: o.Tunnel, State: o.State,
	}
}
