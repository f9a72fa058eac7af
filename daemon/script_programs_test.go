//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// The programs here are what scripts run beside sonde.

// askMain asks a socket for a path, prints the answer, and fails if that is not
// 200. Metrics are parsed:
//
//	exec ask state/read.sock /healthz
func askMain() {
	body, err := askSocket(os.Args[1], os.Args[2])
	fmt.Print(string(body))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func askSocket(path, what string) ([]byte, error) {
	c := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	resp, err := c.Get("http://sonde" + what)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s", resp.Status)
	}
	if err == nil && what == "/metrics" {
		parser := expfmt.NewTextParser(model.UTF8Validation)
		_, err = parser.TextToMetricFamilies(strings.NewReader(string(body)))
	}
	return body, err
}

// besiegers are how many clients besiege a socket in each way.
const besiegers = 100

// besiegeMain holds the connections of a socket and floods it, until it is
// interrupted: with headers that never end, with silence, with requests one after
// the other, with what is no request. It says so when all have begun:
//
//	exec besiege state/read.sock &siege&
func besiegeMain() {
	path := os.Args[1]
	over := make(chan os.Signal, 1)
	signal.Notify(over, os.Interrupt) // before anybody is told that it has begun
	begun := make(chan struct{})
	for i := range 4 * besiegers {
		go func() {
			begun <- struct{}{}
			for {
				besiege(path, i%4)
			}
		}()
	}
	for range 4 * besiegers {
		<-begun
	}
	fmt.Println("besieged")
	<-over
}

// besiege is one client, until the daemon has enough of it.
func besiege(path string, how int) {
	c, err := net.Dial("unix", path)
	if err != nil {
		return
	}
	defer c.Close()
	switch how {
	case 0:
		fmt.Fprint(c, "GET /v1/status HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	case 1: // says nothing
	case 2:
		fmt.Fprint(c, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/inventory HTTP/1.1\r\nHost: x\r\n\r\n")
		return // reads nothing of it
	case 3:
		fmt.Fprint(c, "POST /v1/pause HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n", strings.Repeat("x", 1<<20))
	}
	_, _ = io.Copy(io.Discard, c)
}

// handedMain opens the sockets of a directory as a service manager does, and
// starts sonde with them:
//
//	exec handed DIR run -c sonde.toml &sonde&
func handedMain() {
	dir := os.Args[1]
	told := make(chan os.Signal, 1)
	signal.Notify(told, os.Interrupt)
	var files []*os.File
	for _, name := range []string{"read", "act", "other"} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dir + "/" + name, Net: "unix"})
		if err == nil {
			var f *os.File
			f, err = l.File()
			files = append(files, f)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	// The shell has the process id that sonde then has.
	cmd := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec sonde "$@"`, "sonde"}, os.Args[2:]...)...)
	cmd.Env = append(os.Environ(), "LISTEN_FDS=3", "LISTEN_FDNAMES=read:act:other")
	cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = files, os.Stdout, os.Stderr
	err := cmd.Start()
	if err == nil {
		go func() { <-told; _ = cmd.Process.Signal(syscall.SIGTERM) }()
		err = cmd.Wait()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
