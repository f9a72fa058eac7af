//go:build unix

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// A reply is what a server of a script says to requests that begin so. The
// empty request stands for a greeting.
type reply struct{ request, answer []byte }

// cmdAnswers starts a server that says what a file of the script holds, until
// the script ends or stops it, and sets NAME to its port:
//
//	answers NAME tcp|tls|udp ADDRESS[:PORT] FILE
//	answers -stop NAME
//
// A line of the file is a Go-quoted request and a Go-quoted answer. Nobody
// else on loopback has the port, so on other addresses of it the same port is
// closed.
func cmdAnswers(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 2 && args[0] == "-stop" && !neg {
		stopServer(ts, args[1])
		return
	}
	if neg || len(args) != 4 {
		ts.Fatalf("usage: answers NAME tcp|tls|udp ADDRESS[:PORT] FILE, or answers -stop NAME")
	}
	name, kind, addr := args[0], args[1], args[2]
	if _, _, err := net.SplitHostPort(addr); err != nil {
		addr = net.JoinHostPort(addr, "0")
	}
	s := &server{replies: parseReplies(ts, args[3]), open: map[net.Conn]bool{}}
	var err error
	switch kind {
	case "tcp":
		s.listener, err = net.Listen("tcp", addr)
	case "tls":
		s.listener, err = tls.Listen("tcp", addr, selfSigned(ts))
	case "udp":
		s.packets, err = net.ListenPacket("udp", addr)
	default:
		ts.Fatalf("kind of server %q is not known", kind)
	}
	ts.Check(err)
	port := 0
	if s.packets != nil {
		port = s.packets.LocalAddr().(*net.UDPAddr).Port
		s.running.Go(s.answerPackets)
	} else {
		port = s.listener.Addr().(*net.TCPAddr).Port
		s.running.Go(s.accept)
	}
	ts.Setenv(name, strconv.Itoa(port))
	ts.Value(serversKey{}).(map[string]*server)[name] = s
	ts.Defer(s.close)
}

// cmdReceives writes each datagram that arrives as a line to a file, and sets
// NAME to its port:
//
//	receives NAME ADDRESS FILE
func cmdReceives(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: receives NAME ADDRESS FILE")
	}
	c, err := net.ListenPacket("udp", net.JoinHostPort(args[1], "0"))
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[2]))
	ts.Check(err)
	done := make(chan error, 1)
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, _, err := c.ReadFrom(buf)
			if err != nil {
				done <- f.Close()
				return
			}
			_, _ = f.Write(append(buf[:n:n], '\n')) // what is missing fails the script
		}
	}()
	ts.Defer(func() {
		c.Close()
		ts.Check(<-done)
	})
	ts.Setenv(args[0], strconv.Itoa(c.LocalAddr().(*net.UDPAddr).Port))
}

// serversKey is where a script keeps its servers, by name.
type serversKey struct{}

func stopServer(ts *testscript.TestScript, name string) {
	s := ts.Value(serversKey{}).(map[string]*server)[name]
	if s == nil {
		ts.Fatalf("no server %s", name)
	}
	s.close()
}

// parseReplies reads the lines of a file.
func parseReplies(ts *testscript.TestScript, name string) []reply {
	var out []reply
	for line := range strings.Lines(ts.ReadFile(name)) {
		request, rest, err := cutQuoted(line)
		ts.Check(err)
		answer, _, err := cutQuoted(rest)
		ts.Check(err)
		out = append(out, reply{[]byte(request), []byte(answer)})
	}
	return out
}

func cutQuoted(s string) (value, rest string, err error) {
	s = strings.TrimSpace(s)
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", fmt.Errorf("%q: %w", s, err)
	}
	value, err = strconv.Unquote(quoted)
	return value, s[len(quoted):], err
}

// A server plays one service.
type server struct {
	replies  []reply
	listener net.Listener   // or nil
	packets  net.PacketConn // or nil
	running  sync.WaitGroup

	mu   sync.Mutex // guards open
	open map[net.Conn]bool
	shut bool
}

func (s *server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return // closed
		}
		s.mu.Lock()
		if s.shut {
			c.Close()
		} else {
			s.open[c] = true
			s.running.Go(func() { s.talk(c) })
		}
		s.mu.Unlock()
	}
}

// talk greets, and answers each request that it knows. After the answer to a
// request of HTTP it closes, as such servers do; what it does not know it
// meets with silence, or as an SSH server that exchanges no keys with its end.
func (s *server) talk(c net.Conn) {
	defer func() {
		c.Close()
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
	}()
	greeting := s.find(nil)
	if greeting != nil {
		if _, err := c.Write(greeting); err != nil {
			return
		}
	}
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		answer := s.find(buf[:n])
		if answer == nil && bytes.HasPrefix(greeting, []byte("SSH-")) {
			return
		}
		if answer == nil {
			continue
		}
		if _, err := c.Write(answer); err != nil || bytes.HasPrefix(answer, []byte("HTTP/")) {
			return
		}
	}
}

func (s *server) answerPackets() {
	buf := make([]byte, 4096)
	for {
		n, from, err := s.packets.ReadFrom(buf)
		if err != nil {
			return // closed
		}
		if answer := s.find(buf[:n]); answer != nil {
			_, _ = s.packets.WriteTo(answer, from) // the asker may be gone
		}
	}
}

func (s *server) find(request []byte) []byte {
	for _, r := range s.replies {
		if (len(r.request) == 0) == (len(request) == 0) && bytes.HasPrefix(request, r.request) {
			return r.answer
		}
	}
	return nil
}

// close ends the server and waits for its goroutines.
func (s *server) close() {
	s.mu.Lock()
	s.shut = true
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	if s.listener != nil {
		s.listener.Close()
	}
	if s.packets != nil {
		s.packets.Close()
	}
	s.running.Wait()
}

// selfSigned makes a certificate of test.example for one test.
func selfSigned(ts *testscript.TestScript) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "test.example"},
		DNSNames:     []string{"test.example"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	ts.Check(err)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}
