//go:build integration || lab || bench

package probebench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A serveSpec is a server of many peers: it listens on one port of all
// addresses of its namespace, so that every address of 127.0.0.0/8 is a peer
// of its own.
type serveSpec struct {
	Port   uint16
	Banner string // said to each; "" accepts and stays silent
}

type serveResult struct {
	Accepted  int
	MostPeers int // that had a connection at the same time
	MostConns int
}

// crowd counts who is connected.
type crowd struct {
	mu    sync.Mutex // guards what follows
	conns int
	peers map[netip.Addr]int
	most  serveResult
}

func (c *crowd) enter(peer netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns++
	c.peers[peer]++
	c.most.Accepted++
	c.most.MostConns = max(c.most.MostConns, c.conns)
	c.most.MostPeers = max(c.most.MostPeers, len(c.peers))
}

func (c *crowd) leave(peer netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns--
	if c.peers[peer]--; c.peers[peer] == 0 {
		delete(c.peers, peer)
	}
}

// serveRole serves until it is told to end.
func serveRole(ctx context.Context, spec []byte, ready func(any)) (any, error) {
	var s serveSpec
	if err := json.Unmarshal(spec, &s); err != nil {
		return nil, err
	}
	if err := manyFiles(manyPeers); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", s.Port))
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	ready(struct{}{})
	who := &crowd{peers: map[netip.Addr]int{}}
	for {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			who.mu.Lock()
			defer who.mu.Unlock()
			return who.most, nil
		case errors.Is(err, unix.EMFILE): // the kernel holds them until some leave
			time.Sleep(10 * time.Millisecond)
			continue
		case err != nil:
			return nil, err
		}
		peer := c.LocalAddr().(*net.TCPAddr).AddrPort().Addr()
		who.enter(peer)
		go func() {
			defer c.Close()
			defer who.leave(peer)
			_ = c.SetDeadline(time.Now().Add(5 * time.Minute))
			if s.Banner != "" {
				if _, err := c.Write([]byte(s.Banner)); err != nil {
					return
				}
			}
			buf := make([]byte, 64)
			for {
				if _, err := c.Read(buf); err != nil { // who is silent still hears
					return
				}
			}
		}()
	}
}

// manyPeers is how many descriptors a process of this size may need: two
// connections to each of 10,000 peers, and a reserve.
const manyPeers = 1 << 16

// peerAt gives the n-th address of a crowd, all of them in 127.64.0.0/10.
func peerAt(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(64 + n>>16), byte(n >> 8), byte(n)})
}
