package emit

import (
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leodido/go-syslog/v4/rfc5424"

	"sonde/daemon/internal/event"
	"sonde/match"
	"sonde/probes"
)

// hostile is a record whose strings came from a peer that attacks the log.
func hostile() Record {
	r := record(7, event.ServiceChanged)
	evil := "x\"] \\ [y z=\"1\"]\r\n<0>1 forged\x00\x1b[2J\xff\u202e" + strings.Repeat("A", 4000)
	r.Event.Message = evil
	r.Event.Watch = evil
	o := &probes.Observation{Addr: netip.MustParseAddr("2001:db8::1"), Port: 22,
		Transport: probes.TCP, Identity: match.Identity{Service: "ssh", Product: evil,
			Version: evil, Info: evil, Hostname: evil}}
	o.Evidence = &probes.Evidence{Answer: probes.Bytes(strings.Repeat("\x00", 9000))}
	r.Event.Endpoint, r.Event.Previous, r.Event.Evidence = o, o, o.Evidence
	var err error
	if r.JSON, err = json.Marshal(r.Event); err != nil {
		panic(err)
	}
	return r
}

func TestRFC5424IsWhatAParserReads(t *testing.T) {
	r := record(12, event.ServiceNew)
	r.Event.Watch = "lan"
	r.Event.Endpoint = &probes.Observation{Addr: netip.MustParseAddr("192.0.2.7"), Port: 443,
		Transport: probes.TCP, Tunnel: probes.TLS,
		Identity: match.Identity{Service: "http", Product: "nginx", Version: "1.22.1"}}
	raw := appendRFC5424(nil, &header{3, "sensor1", 99, ""}, Sonde, &r, maxDatagram)
	msg, err := rfc5424.NewParser().Parse(raw)
	if err != nil {
		t.Fatalf("%v in %q", err, raw)
	}
	m := msg.(*rfc5424.SyslogMessage)
	if *m.Priority != 3*8+4 || *m.Hostname != "sensor1" || *m.Appname != "sonde" ||
		*m.ProcID != "99" || *m.MsgID != "service.new" || *m.Message != "event 12" ||
		!m.Timestamp.Equal(r.Event.Timestamp) {
		t.Errorf("parsed %+v", m)
	}
	sd := (*m.StructuredData)[sdID]
	for name, want := range map[string]string{"id": r.Event.ID, "seq": "12", "addr": "192.0.2.7",
		"port": "443", "transport": "tcp", "tunnel": "tls", "service": "http", "product": "nginx",
		"version": "1.22.1", "watch": "lan", "severity": "warning"} {
		if sd[name] != want {
			t.Errorf("%s = %q, want %q", name, sd[name], want)
		}
	}
}

func TestRFC5424HostileStrings(t *testing.T) {
	r := hostile()
	raw := appendRFC5424(nil, &header{3, "host with blank\n", 1, ""}, Sonde, &r, maxDatagram)
	if len(raw) > maxDatagram {
		t.Errorf("%d bytes, at most %d", len(raw), maxDatagram)
	}
	for _, c := range raw {
		if c < 0x20 || c == 0x7f {
			t.Fatalf("control byte %#x in %q", c, raw)
		}
	}
	msg, err := rfc5424.NewParser().Parse(raw)
	if err != nil {
		t.Fatalf("%v in %q", err, raw)
	}
	sd := *msg.(*rfc5424.SyslogMessage).StructuredData
	if len(sd) != 1 || sd[sdID]["id"] != r.Event.ID || sd[sdID]["z"] != "" {
		t.Errorf("structured data %v", sd)
	}
}

func TestLocalFormIsBoundedJSON(t *testing.T) {
	for _, r := range []Record{record(3, event.ServiceGone), hostile()} {
		raw := appendLocal(nil, &header{3, "h", 77, ""}, Sonde, &r)
		if len(raw) > maxLocal {
			t.Errorf("%d bytes, at most %d", len(raw), maxLocal)
		}
		head, body, ok := strings.Cut(string(raw), " sonde[77]: @cee: ")
		if _, err := time.Parse(time.Stamp, head[strings.Index(head, ">")+1:]); !ok || err != nil {
			t.Errorf("header %q: %v", head, err)
		}
		var e event.Event
		if err := json.Unmarshal([]byte(body), &e); err != nil || e.ID != r.Event.ID {
			t.Errorf("body %.80q: %v", body, err)
		}
	}
}

func TestSyslogOverUDPSendsARefusedOneAgain(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := pc.LocalAddr().String()
	pc.Close()
	s := NewSyslog(SyslogConfig{Network: "udp", Address: addr, Hostname: "h"})
	defer s.Close()
	// Nobody listens: the first datagram goes out, the kernel tells with a
	// later one that it was refused.
	if n, err := s.Deliver(t.Context(), []Record{record(1, event.ServiceNew)}); n != 1 || err != nil {
		t.Fatalf("first delivery: %d, %v", n, err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		n, err := s.Deliver(t.Context(), []Record{record(2, event.ServiceNew)})
		if err != nil && n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Skip("this kernel does not report refused datagrams on loopback")
		}
	}
	pc, err = net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	if n, err := s.Deliver(t.Context(), []Record{record(2, event.ServiceNew)}); n != 1 || err != nil {
		t.Fatalf("after the receiver is back: %d, %v", n, err)
	}
	buf := make([]byte, 4096)
	var got []string
	for range 2 {
		pc.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, _, err := pc.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		msg, err := rfc5424.NewParser().Parse(buf[:n])
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, (*msg.(*rfc5424.SyslogMessage).StructuredData)[sdID]["seq"])
	}
	// The one that was refused last is sent again before the new one.
	if got[1] != "2" {
		t.Errorf("received %v, want the new one last", got)
	}
}

func TestSyslogLocalSocketComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	s := NewSyslog(SyslogConfig{Network: "unixgram", Address: path})
	defer s.Close()
	if _, err := s.Deliver(t.Context(), []Record{record(1, event.ServiceNew)}); err == nil {
		t.Fatal("delivered without a daemon")
	}
	for seq := int64(1); seq <= 2; seq++ { // the daemon starts, and is restarted
		pc, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		if seq > 1 {
			s.Deliver(t.Context(), []Record{record(seq, event.ServiceNew)}) // finds the old socket dead
		}
		if n, err := s.Deliver(t.Context(), []Record{record(seq, event.ServiceNew)}); n != 1 || err != nil {
			t.Fatalf("start %d: %d, %v", seq, n, err)
		}
		buf := make([]byte, 16<<10)
		pc.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := pc.Read(buf)
		if err != nil || !strings.Contains(string(buf[:n]), "@cee:") {
			t.Errorf("start %d: %v %q", seq, err, buf[:n])
		}
		pc.Close()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzRFC5424(f *testing.F) {
	f.Add("message", "product", "h")
	f.Add("a\"]\\\n", "\xff\x00", "")
	f.Fuzz(func(t *testing.T, message, product, host string) {
		r := record(1, event.ServiceNew)
		r.Event.Message = message
		r.Event.Endpoint = &probes.Observation{Identity: match.Identity{Product: product}}
		raw := appendRFC5424(nil, &header{16, host, 1, ""}, Sonde, &r, maxDatagram)
		if len(raw) > maxDatagram {
			t.Errorf("%d bytes", len(raw))
		}
		msg, err := rfc5424.NewParser().Parse(raw)
		if err != nil {
			t.Fatalf("%v in %q", err, raw)
		}
		if n := len(*msg.(*rfc5424.SyslogMessage).StructuredData); n != 1 {
			t.Errorf("%d structured data elements in %q", n, raw)
		}
	})
}
