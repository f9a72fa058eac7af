//go:build integration || lab || bench

package probebench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A linkSpec describes a cable between two namespaces: frames take Delay each
// way, and of each hundred Loss are lost.
type linkSpec struct {
	Left, Right         string // network namespaces
	LeftName, RightName string // of the interfaces
	Delay               time.Duration
	Loss                float64
	Seed                uint64
}

// linkRole is the cable: two TAP interfaces and a process that carries frames
// between them, as not every kernel can delay and lose packets itself. TAPs
// have no offloads, so checksums and sizes are those of a real cable.
func linkRole(ctx context.Context, spec []byte, ready func(any)) (any, error) {
	var s linkSpec
	if err := json.Unmarshal(spec, &s); err != nil {
		return nil, err
	}
	left, err := tapIn(s.Left, s.LeftName)
	if err != nil {
		return nil, err
	}
	right, err := tapIn(s.Right, s.RightName)
	if err != nil {
		return nil, err
	}
	ready(struct{}{})
	var both sync.WaitGroup
	both.Go(func() { s.carry(left, right, rand.New(rand.NewPCG(s.Seed, 1))) })
	both.Go(func() { s.carry(right, left, rand.New(rand.NewPCG(s.Seed, 2))) })
	<-ctx.Done()
	left.Close()
	right.Close()
	both.Wait()
	return struct{}{}, nil
}

// tapIn makes a TAP interface in a namespace. Its descriptor keeps it alive.
func tapIn(ns, name string) (*os.File, error) {
	type made struct {
		f   *os.File
		err error
	}
	result := make(chan made)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends in the other namespace
		f, err := openTap(ns, name)
		result <- made{f, err}
	}()
	m := <-result
	if m.err != nil {
		return nil, fmt.Errorf("tap %s in %s: %w", name, ns, m.err)
	}
	return m.f, nil
}

func openTap(ns, name string) (*os.File, error) {
	h, err := os.Open("/run/netns/" + ns)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	if err := unix.Setns(int(h.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// carry moves frames one way, in order.
func (s *linkSpec) carry(from, to *os.File, chance *rand.Rand) {
	type frame struct {
		due  time.Time
		data []byte
	}
	queue := make(chan frame, 1<<14) // full: the cable is slower than its users, who wait
	var out sync.WaitGroup
	defer out.Wait()
	defer close(queue)
	out.Go(func() {
		for f := range queue {
			time.Sleep(time.Until(f.due)) // the delay is the purpose
			_, _ = to.Write(f.data)       // fails when the interface is down: a lost frame
		}
	})
	for {
		buf := make([]byte, 2048)
		n, err := from.Read(buf)
		if errors.Is(err, unix.EIO) { // the interface is not up yet
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if err != nil {
			return
		}
		if chance.Float64()*100 >= s.Loss {
			queue <- frame{time.Now().Add(s.Delay), buf[:n]}
		}
	}
}

// farClients counts the namespaces that have an address in the lab.
var farClients struct {
	sync.Mutex
	n int
}

// farAway gives a namespace with an address in the lab, at the other end of a
// cable with the given delay each way and loss in percent.
func farAway(t testing.TB, delay time.Duration, loss float64) string {
	t.Helper()
	ns := newNamespace(t)
	farClients.Lock()
	n := farClients.n
	farClients.n++
	farClients.Unlock()
	// Another process of the same test has another number most likely.
	host := 32 + (os.Getpid()*4+n)%200
	port := fmt.Sprintf("far%d", host)
	start(t, "", "link", linkSpec{Left: ns, Right: labNamespace, LeftName: "eth0", RightName: port,
		Delay: delay, Loss: loss, Seed: 1}, nil)
	run(t, "ip", "-n", ns, "addr", "add", fmt.Sprintf("198.18.0.%d/15", host), "dev", "eth0")
	run(t, "ip", "-n", ns, "link", "set", "eth0", "up")
	run(t, "ip", "-n", labNamespace, "link", "set", port, "master", "br0")
	run(t, "ip", "-n", labNamespace, "link", "set", port, "up")
	return ns
}
