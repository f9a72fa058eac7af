package session

import (
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"sonde/probes"
)

// maxDelay is how late the servers of these tests may be with each thing that
// they say.
const maxDelay = 2 * time.Second

// A lateServer says what a real server of its kind says, each time after
// another delay.
type lateServer struct {
	name    string
	talk    func(c net.Conn, late func())
	ports   []uint16
	service string
	product string
	tunnel  []uint16 // those of ports at which it is found in TLS
}

// eachLine answers line by line until the client leaves.
func eachLine(c net.Conn, late func(), answer func(line string) string) {
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		late()
		for line := range strings.Lines(string(buf[:n])) {
			io.WriteString(c, answer(strings.ToUpper(strings.TrimSpace(line))))
		}
	}
}

func lateSSH(c net.Conn, late func()) {
	late()
	io.WriteString(c, "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n")
	if _, err := c.Read(make([]byte, 512)); err == nil {
		io.WriteString(c, "Invalid SSH identification string.\r\n")
	}
}

// lateSMTP needs STARTTLS for anything of use, and disconnects who shouts.
func lateSMTP(c net.Conn, late func()) {
	late()
	io.WriteString(c, "220 mail.example.net ESMTP Postfix (Debian/GNU)\r\n")
	eachLine(c, late, func(line string) string {
		switch {
		case strings.HasPrefix(line, "EHLO"):
			return "250-mail.example.net\r\n250-STARTTLS\r\n250 8BITMIME\r\n"
		case line == "HELP", line == "":
			return "502 5.5.2 Error: command not recognized\r\n"
		case strings.HasPrefix(line, "GET"), strings.HasPrefix(line, "OPTIONS"):
			return "221 2.7.0 Error: I can break rules, too. Goodbye.\r\n"
		}
		return "530 5.7.0 Must issue a STARTTLS command first\r\n"
	})
}

func lateFTP(c net.Conn, late func()) {
	late()
	io.WriteString(c, "220 (vsFTPd 3.0.3)\r\n")
	eachLine(c, late, func(string) string { return "530 Please login with USER and PASS.\r\n" })
}

// lateHTTP answers what is no request, such as a TLS hello, with a 400.
func lateHTTP(c net.Conn, late func()) {
	buf := make([]byte, 4096)
	n, err := c.Read(buf)
	if err != nil {
		return
	}
	late()
	status := "400 Bad Request"
	if strings.HasPrefix(string(buf[:n]), "GET ") {
		status = "200 OK"
	}
	io.WriteString(c, "HTTP/1.1 "+status+"\r\nServer: nginx/1.22.1\r\nContent-Type: text/html\r\n"+
		"Content-Length: 6\r\nConnection: close\r\n\r\n<html>")
}

// lateHTTPS is the same inside TLS, and says so to who comes in clear.
func lateHTTPS(cfg *tls.Config) func(net.Conn, func()) {
	return func(c net.Conn, late func()) {
		late()
		first := make([]byte, 1)
		if _, err := io.ReadFull(c, first); err != nil {
			return
		}
		if first[0] != 0x16 {
			io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nServer: nginx/1.22.1\r\nConnection: close\r\n\r\n"+
				"<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>")
			return
		}
		tunnel := tls.Server(pushedBack{c, first}.reader(), cfg)
		defer tunnel.Close()
		if tunnel.Handshake() == nil {
			lateHTTP(tunnel, late)
		}
	}
}

// both serves TLS and plain text at one port.
func both(cfg *tls.Config) func(net.Conn, func()) {
	return func(c net.Conn, late func()) {
		first := make([]byte, 1)
		if _, err := io.ReadFull(c, first); err != nil {
			return
		}
		whole := pushedBack{c, first}.reader()
		if first[0] != 0x16 {
			lateHTTP(whole, late)
			return
		}
		tunnel := tls.Server(whole, cfg)
		defer tunnel.Close()
		if tunnel.Handshake() == nil {
			lateHTTP(tunnel, late)
		}
	}
}

// lateIMAPS greets inside TLS.
func lateIMAPS(cfg *tls.Config) func(net.Conn, func()) {
	return func(c net.Conn, late func()) {
		tunnel := tls.Server(c, cfg)
		defer tunnel.Close()
		if tunnel.Handshake() != nil {
			return
		}
		late()
		io.WriteString(tunnel, "* OK [CAPABILITY IMAP4rev1 LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ AUTH=PLAIN] Dovecot (Debian) ready.\r\n")
		eachLine(tunnel, late, func(string) string { return "* BAD Error in IMAP command received by server.\r\n" })
	}
}

// A server that takes its time, another one at every word, is the same server
// at every visit: never another product, service or tunnel, whether it is seen
// for the first time or again.
func TestDelaysDoNotChangeTheIdentity(t *testing.T) {
	sources, err := probes.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	db, err := probes.Load(sources...)
	if err != nil {
		t.Fatal(err)
	}
	cfg := newTLSConfig(t)
	for _, tt := range []lateServer{
		{"SSH", lateSSH, []uint16{22, 443, 2222, 80, 25}, "ssh", "OpenSSH", nil},
		{"SMTP", lateSMTP, []uint16{25, 587, 465, 2500, 443}, "smtp", "Postfix smtpd", nil},
		{"FTP", lateFTP, []uint16{21, 2121, 990, 443, 80}, "ftp", "vsftpd", nil},
		{"HTTP", lateHTTP, []uint16{80, 443, 8443, 5000, 25}, "http", "nginx", nil},
		{"HTTPS", lateHTTPS(cfg), []uint16{443, 8443, 5000, 25}, "http", "nginx", []uint16{443, 8443, 5000, 25}},
		{"both", both(cfg), []uint16{443, 8443, 5000, 80}, "http", "nginx", []uint16{443, 8443}},
		{"IMAPS", lateIMAPS(cfg), []uint16{993, 995, 443}, "imap", "Dovecot imapd", []uint16{993, 995, 443}},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			for _, port := range tt.ports {
				const runs = 25
				decided := 0
				for seed := range uint64(runs) {
					decided += tt.check(t, db, port, seed, []int{1, 2, 4}[seed%3])
				}
				if decided < 3*runs/2 {
					t.Errorf("port %d: only %d of %d visits decided", port, decided, 3*runs)
				}
			}
		})
	}
}

// check visits a server three times, twice with what the first visit taught,
// and gives the number of visits that came to an end.
func (l *lateServer) check(t *testing.T, db *probes.Database, port uint16, seed uint64,
	connections int) (decided int) {
	s := serve(t, func(s *server, c net.Conn) {
		rng := rand.New(rand.NewPCG(seed, uint64(port)<<32|uint64(s.count())))
		l.talk(c, func() { time.Sleep(time.Duration(rng.Int64N(int64(maxDelay)))) })
	})
	s.latency = time.Duration(seed) * time.Millisecond
	settings := DefaultSettings()
	settings.Allow.Held = true
	settings.Connections = connections
	p := newProber(t, s, db, settings)
	ep := endpoint(s)
	ep.Port = port
	tunnel := probes.NoTunnel
	if slices.Contains(l.tunnel, port) {
		tunnel = probes.TLS
	}
	var known Remembered
	for visit := range 3 {
		o := p.Visit(t.Context(), ep, known)
		if o.Outcome == probes.OutcomeInconclusive {
			continue
		}
		decided++
		if o.Service != l.service || o.Product != l.product || o.Tunnel != tunnel {
			t.Errorf("port %d, seed %d, visit %d after %+v: %+v, asked %q, errors %q",
				port, seed, visit, known, summarize(o), o.Asked, o.Errors)
		}
		if visit == 0 && o.Strength == probes.Hard {
			known = Recall(&o)
		}
	}
	return decided
}
