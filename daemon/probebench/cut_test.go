//go:build integration || lab || bench

package probebench

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// A cutSpec says where the role cut stands: in front of each endpoint at the
// same port of the address that alias gives. What a server says is cut into
// random segments; between them lie up to Gap. A tenth of the segments wait
// Long instead, if that is more than 0.
type cutSpec struct {
	Endpoints []netip.AddrPort
	Gap, Long time.Duration
	Seed      uint64
}

// alias is the loopback address that stands for one of the lab.
func alias(a netip.Addr) netip.Addr {
	b := a.As4()
	return netip.AddrFrom4([4]byte{127, 18, b[2], b[3]})
}

// cutRole is a proxy that nobody can see but by the rhythm of its segments.
func cutRole(ctx context.Context, spec []byte, ready func(any)) (any, error) {
	var s cutSpec
	if err := json.Unmarshal(spec, &s); err != nil {
		return nil, err
	}
	var listeners []net.Listener
	defer func() {
		for _, l := range listeners {
			l.Close()
		}
	}()
	for _, to := range s.Endpoints {
		l, err := net.Listen("tcp4", netip.AddrPortFrom(alias(to.Addr()), to.Port()).String())
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, l)
		go s.accept(l, to)
	}
	ready(struct{}{})
	<-ctx.Done()
	return struct{}{}, nil
}

func (s *cutSpec) accept(l net.Listener, to netip.AddrPort) {
	for n := uint64(0); ; n++ {
		c, err := l.Accept()
		if err != nil {
			return
		}
		seed := s.Seed<<32 | uint64(to.Port())<<16 | n
		go s.proxy(c.(*net.TCPConn), to, rand.New(rand.NewPCG(seed, uint64(to.Addr().As4()[3]))))
	}
}

func (s *cutSpec) proxy(client *net.TCPConn, to netip.AddrPort, chance *rand.Rand) {
	defer client.Close()
	up, err := net.DialTimeout("tcp4", to.String(), 5*time.Second)
	if err != nil {
		_ = client.SetLinger(0) // a reset, as the server's would be
		return
	}
	server := up.(*net.TCPConn)
	defer server.Close()
	var both sync.WaitGroup
	both.Go(func() {
		_, err := io.Copy(struct{ io.Writer }{server}, client)
		passEnd(server, err)
	})
	both.Go(func() { passEnd(client, s.cut(client, server, chance)) })
	both.Wait()
}

// passEnd ends one direction as it ended on the other side.
func passEnd(to *net.TCPConn, err error) {
	if errors.Is(err, syscall.ECONNRESET) {
		_ = to.SetLinger(0)
		to.Close()
		return
	}
	_ = to.CloseWrite()
}

// cut hands on what the server says, piece by piece.
func (s *cutSpec) cut(client, server *net.TCPConn, chance *rand.Rand) error {
	buf := make([]byte, 16<<10)
	for {
		n, err := server.Read(buf)
		rest := buf[:n]
		for len(rest) > 0 {
			// Short pieces mostly, yet a long answer must end some day: at
			// most twenty pieces of what came at once.
			k := min(len(rest), 1+chance.IntN(max(8, n/10)))
			if _, err := client.Write(rest[:k]); err != nil {
				return err
			}
			rest = rest[k:]
			if len(rest) > 0 {
				time.Sleep(s.pause(chance)) // the rhythm is the purpose
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *cutSpec) pause(chance *rand.Rand) time.Duration {
	if s.Long > 0 && chance.IntN(10) == 0 {
		return s.Long
	}
	return time.Duration(chance.Int64N(int64(s.Gap) + 1))
}

// burnRole keeps all processors busy until it is told to end.
func burnRole(ctx context.Context, _ []byte, ready func(any)) (any, error) {
	ready(struct{}{})
	for range 2 * runtime.NumCPU() {
		go func() {
			for ctx.Err() == nil {
				continue // to compute is the purpose
			}
		}()
	}
	<-ctx.Done()
	return struct{}{}, nil
}
