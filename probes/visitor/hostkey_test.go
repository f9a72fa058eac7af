package visitor

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"sonde/probes"
	"sonde/probes/session"
	"sonde/probes/sshkey"
)

// keyReader is a script that asks for a host key.
func keyReader(limit time.Duration) *script {
	return &script{on: func(m *script, now time.Time, e session.Event) []session.Action {
		switch e.Kind {
		case 0:
			return []session.Action{open(0), wake(now.Add(10 * time.Second))}
		case session.Opened:
			return []session.Action{{Kind: session.ReadKey, Conn: 0, Timeout: limit, MaxBytes: 64 << 10}}
		case session.Shown:
			return finish()
		case session.Woken, session.Cancelled:
			return finish(0)
		}
		return nil
	}}
}

// TestReadKey: the key comes with what it took, and nobody logs in.
func TestReadKey(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	addr := serve(t, func(c net.Conn) {
		cfg := &ssh.ServerConfig{NoClientAuth: true}
		cfg.AddHostKey(key)
		_, _, _, err := ssh.NewServerConn(c, cfg)
		ended <- err
	})
	m := keyReader(5 * time.Second)
	visitTunnel(t, endpoint(addr, probes.TCP), m)
	e := m.first(t, session.Shown)
	if e.Err != nil || e.Key.HostKey != sshkey.Facts(key.PublicKey()) {
		t.Errorf("%+v, %v", e.Key, e.Err)
	}
	if e.Key.BytesOut < 500 || e.Key.BytesOut > 4000 || e.Key.BytesIn < 400 || e.Key.BytesIn > 4000 {
		t.Errorf("a key exchange of %d bytes out, %d in", e.Key.BytesOut, e.Key.BytesIn)
	}
	if err := <-ended; err == nil {
		t.Error("the server let somebody in")
	}
}

// TestReadKeyInVain: whatever a server does, the visit goes on, and nothing is
// left of the connection.
func TestReadKeyInVain(t *testing.T) {
	tests := map[string]struct {
		handle func(net.Conn)
		err    error
	}{
		"silent": {func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, os.ErrDeadlineExceeded},
		"closes": {func(net.Conn) {}, io.EOF},
		"floods": {func(c net.Conn) {
			for {
				// Packets of a kind that is passed over, in clear.
				if _, err := io.WriteString(c, "SSH-2.0-x\r\n"+strings.Repeat("\x00\x00\x00\x0c\x0a\x02"+strings.Repeat("\x00", 10), 1000)); err != nil {
					return
				}
			}
		}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := keyReader(200 * time.Millisecond)
			visitTunnel(t, endpoint(serve(t, tt.handle), probes.TCP), m)
			e := m.first(t, session.Shown)
			if e.Err == nil || tt.err != nil && !errors.Is(e.Err, tt.err) || e.Key.BytesIn > 64<<10 {
				t.Errorf("%v, %+v", e.Err, e.Key)
			}
		})
	}
}

// TestReadKeyCancelled: a visit that is ended takes its key exchange along.
func TestReadKeyCancelled(t *testing.T) {
	inside := make(chan struct{}, 1)
	addr := serve(t, func(c net.Conn) {
		io.WriteString(c, "SSH-2.0-x\r\n")
		inside <- struct{}{}
		_, _ = io.Copy(io.Discard, c)
	})
	m := keyReader(time.Minute)
	v := newTest(t, realLoops(t), nil, func(probes.Endpoint) *script { return m })
	done := make(chan probes.Observation, 1)
	cancel := v.Begin(endpoint(addr, probes.TCP), session.Remembered{}, func(o probes.Observation) { done <- o })
	<-inside
	cancel(errors.New("enough"))
	<-done
	v.Close()
}
