//go:build lab && linux

package starttls

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sonde/probes/tlsprobe"
)

// An endpoint is one port of the lab of real servers, from its truth.json.
type endpoint struct {
	Box     string     `json:"box"`
	Addr    netip.Addr `json:"addr"`
	Addr6   netip.Addr `json:"addr6"`
	Port    uint16     `json:"port"`
	Proto   string     `json:"proto"`
	Service string     `json:"service"`
	TLS     string     `json:"tls"`
}

// expected are the servers of the lab whose verdict is not to be read from
// "starttls" in its truth.
var expected = map[string]State{
	"xrdp:3389":      Ready,
	"mariadb:3306":   Refused, // begun without a certificate
	"pgbouncer:6432": Refused, // likewise
	"dovecot:24":     Ready,   // LMTP
}

// TestLab asks each server of the lab that has a dialogue, shakes hands where
// it consents, and reads the certificate.
func TestLab(t *testing.T) {
	state := cmp.Or(os.Getenv("LAB_STATE"), "/var/tmp/sonde-lab")
	text, err := os.ReadFile(filepath.Join(state, "truth.json"))
	if err != nil {
		t.Skipf("no lab of real servers is up: %v", err)
	}
	if os.Getuid() != 0 {
		t.Skip("needs root (CAP_SYS_ADMIN) for the lab's namespace")
	}
	var endpoints []endpoint
	if err := json.Unmarshal(text, &endpoints); err != nil {
		t.Fatal(err)
	}
	tested, secured := 0, 0
	for _, e := range endpoints {
		begin, ok := For(e.Service)
		if !ok || e.Proto != "tcp" || e.TLS == "yes" || e.TLS == "tls" {
			continue
		}
		want := Refused
		if e.TLS == "starttls" {
			want = Ready
		}
		name := fmt.Sprintf("%s:%d", e.Box, e.Port)
		if s, ok := expected[name]; ok {
			want = s
		}
		tested++
		t.Run(name, func(t *testing.T) {
			addrs := []netip.Addr{e.Addr}
			if e.Addr6.IsValid() && e.Box != "prosody" {
				addrs = append(addrs, e.Addr6)
			}
			for _, addr := range addrs {
				if ask(t, netip.AddrPortFrom(addr, e.Port), begin, want) {
					secured++
				}
			}
		})
	}
	t.Logf("%d servers asked, %d certificates", tested, secured)
	if tested == 0 {
		t.Skip("none of the lab's servers is up")
	}
}

func ask(t *testing.T, to netip.AddrPort, begin Factory, want State) (secured bool) {
	t.Helper()
	conn, err := dialLab(to.String())
	if err != nil {
		if to.Addr().Is6() {
			return false // not every server listens there
		}
		t.Fatalf("%v (is the box up?)", err)
	}
	defer conn.Close()
	start := time.Now()
	conn.SetDeadline(start.Add(15 * time.Second))
	d := begin(Options{Name: "client.lab.example", Host: "lab.example"})
	got, err := run(conn, d)
	took := time.Since(start).Round(time.Millisecond)
	if got != want || err != nil {
		t.Errorf("%v: %v %q %v, want %v", to, got, d.Reason(), err, want)
	}
	if got != Ready {
		t.Logf("%v: %v %q in %v", to, got, d.Reason(), took)
		return false
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tunnel, facts, err := tlsprobe.Handshake(ctx, conn, tlsprobe.Config{Name: "lab.example"})
	if err != nil || facts.Certificate == nil {
		t.Errorf("%v: handshake: %v, %+v", to, err, facts)
		return false
	}
	t.Logf("%v: %v after %v, %s, %s", to, got, took, facts.Version, facts.Certificate.Subject)
	if _, err := tunnel.Write(d.Goodbye()); err != nil {
		t.Errorf("%v: goodbye: %v", to, err)
	}
	return true
}

// dialLab connects from the lab's client.
func dialLab(to string) (conn net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends, as it is elsewhere
		ns, e := os.Open("/run/netns/lab")
		if e != nil {
			err = e
			return
		}
		defer ns.Close()
		if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err == nil {
			conn, err = net.DialTimeout("tcp", to, 3*time.Second)
		}
	}()
	<-done
	return conn, err
}
