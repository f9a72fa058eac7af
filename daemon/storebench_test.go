//go:build bench

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sonde/daemon/internal/event"
	"sonde/daemon/internal/inventory"
	"sonde/match"
	"sonde/probes"
)

// The inventories that are generated: hosts of ten services each, as the
// services of sites are.
const (
	benchPerHost = 10
	benchPort    = 20001 // of the first of them
	benchBatch   = 256   // what the sensor stores at once when much comes
	benchVisits  = 60_000
)

// TestBenchStore measures the store with 100,000 and 1,000,000 services, and
// how the real daemon starts on it. The last line of each is for `make
// bench-store`. SERVICES names other sizes, separated by commas.
func TestBenchStore(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "sonde")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("build the daemon: %v\n%s", err, out)
	}
	sizes := []int{100_000, 1_000_000}
	if s := os.Getenv("SERVICES"); s != "" {
		sizes = nil
		for f := range strings.SplitSeq(s, ",") {
			n, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, n)
		}
	}
	for _, n := range sizes {
		t.Run(strconv.Itoa(n), func(t *testing.T) { benchStore(t, bin, n) })
	}
}

func benchStore(t *testing.T, bin string, n int) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	path := benchConfig(t, dir, state)
	s, err := inventory.Open(t.Context(), inventory.Config{Dir: state, Sensor: "bench", Version: "bench"})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	rate := benchApply(t, s, 0, n, n, now.Add(-time.Hour))
	t.Logf("first looks, each told: %.0f observations/s", rate)
	// What every sink has is trimmed after a while; a store of some age has the
	// endpoints and not the baseline of each in its outbox.
	benchPasses(t, s, path, now)
	last, err := s.LastSeq(t.Context())
	if err == nil {
		err = s.SetCursor(t.Context(), "json", last)
	}
	for range n/5000 + 1 {
		if err == nil {
			err = s.Alive(t.Context())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	wrote, cpu := written(t), cpuTime(t)
	visits := min(n, benchVisits)
	rate = benchApply(t, s, 0, visits, n, now)
	wrote, cpu = written(t)-wrote, cpuTime(t)-cpu
	// One visit of each service an hour is a day of 24 visits of each.
	const daily = 24
	per := float64(n) * daily / float64(visits)
	t.Logf("a quiet day, computed from %d visits: %d visits, %.0f CPU seconds, %.1f GiB written",
		visits, n*daily, cpu.Seconds()*per, float64(wrote)*per/(1<<30))
	benchMatched(t, s, bin)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(filepath.Join(state, inventory.FileName))
	if err != nil {
		t.Fatal(err)
	}
	ready, loaded, rss := benchStart(t, bin, path, filepath.Join(state, "events.json"), n)
	fmt.Printf("store: services=%d obs_per_s=%.0f rss_mib=%d ready_s=%.1f loaded_s=%.1f bytes_per_service=%d\n",
		n, rate, rss>>10, ready.Seconds(), loaded.Seconds(), fi.Size()/int64(n))
}

// benchApply visits n services of all, spread over the inventory as a schedule
// spreads them, and gives how many were applied in a second.
func benchApply(t *testing.T, s *inventory.Store, from, n, all int, at time.Time) float64 {
	batch := make([]inventory.Visit, 0, benchBatch)
	stride := 1
	if n < all {
		stride = all/n*7919 + 1
	}
	var took, longest time.Duration
	for i := range n {
		batch = append(batch, benchVisit((from+i*stride)%all, at.Add(time.Duration(i)*time.Millisecond)))
		if len(batch) < benchBatch && i+1 < n {
			continue
		}
		begun := time.Now()
		if _, err := s.Apply(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		took, longest = took+time.Since(begun), max(longest, time.Since(begun))
		batch = batch[:0]
	}
	t.Logf("%d visits in batches of %d, the longest took %v", n, benchBatch, longest.Round(time.Millisecond))
	return float64(n) / took.Seconds()
}

// benchAddr is the address of a generated service: 127.16.0.0 and up.
func benchAddr(i int) netip.AddrPort {
	host := i / benchPerHost
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(16 + host>>16), byte(host >> 8), byte(host)}),
		uint16(benchPort+i%benchPerHost))
}

// benchVisit is an answer of service i: ten kinds, with the lengths that such
// answers have.
func benchVisit(i int, at time.Time) inventory.Visit {
	ap := benchAddr(i)
	o := probes.Observation{State: probes.Open, Reason: "syn-ack", Outcome: probes.OutcomeAnswered,
		Strength: probes.Hard, Probe: "GetRequest", Rule: "http.probes:123", Database: benchHash, At: at,
		Asked: []string{"NULL", "GetRequest"}}
	version := fmt.Sprintf("1.%d.%d", i%30, i%7)
	answer := "HTTP/1.1 200 OK\r\nServer: nginx/" + version + "\r\nDate: Mon, 23 Nov 2026 08:00:00 GMT\r\n" +
		"Content-Type: text/html\r\nContent-Length: 612\r\nConnection: close\r\n\r\n" + strings.Repeat("<p>text</p>", 55)
	o.Identity = match.Identity{Service: "http", Product: "nginx", Version: version,
		CPE: []string{"cpe:/a:igor_sysoev:nginx:" + version}}
	switch i % benchPerHost {
	case 0, 1, 2:
		o.Probe, o.Rule, o.Asked = "NULL", "ssh.probes:45", []string{"NULL"}
		answer = "SSH-2.0-OpenSSH_9." + strconv.Itoa(i%9) + "p1 Debian-2+deb12u3\r\n"
		o.Identity = match.Identity{Service: "ssh", Product: "OpenSSH", Version: "9.2p1 Debian 2+deb12u3",
			Info: "protocol 2.0", OS: "Linux", CPE: []string{"cpe:/a:openbsd:openssh:9.2p1", "cpe:/o:linux:linux_kernel"}}
	case 3, 4:
		o.Tunnel = probes.TLS
		sum := sha256.Sum256([]byte(ap.String()))
		o.TLS = []probes.TLSFacts{{Version: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256", ALPN: "http/1.1",
			Certificate: &probes.Certificate{Subject: "CN=host" + strconv.Itoa(i) + ".example.org",
				Issuer: "CN=Example Issuing CA 3,O=Example,C=DE", SANs: []string{"host" + strconv.Itoa(i) + ".example.org"},
				SANsCount: 1, NotBefore: at.AddDate(0, -2, 0).Truncate(24 * time.Hour), NotAfter: at.AddDate(1, 0, 0).Truncate(24 * time.Hour),
				Key: "RSA 2048", SHA256: hex.EncodeToString(sum[:])}}}
	case 9:
		o.Identity, o.Strength, o.Rule, o.Probe = match.Identity{}, probes.Unmatched, "", ""
		answer = "\x00\x01\x02\x03 something else"
		o.Fingerprint = "SF-Port20010-TCP:V=Sonde%I=7" + strings.Repeat(`%r(GetRequest,18,"\0\x01\x02\x03")`, 8) + ";"
	}
	o.Evidence = &probes.Evidence{Probe: o.Probe, Rule: "x.y." + o.Service, Database: benchHash, Answer: probes.Bytes(answer)}
	return inventory.Visit{Key: event.Key{Zone: "default", Addr: ap.Addr(), Transport: probes.TCP, Port: ap.Port()},
		Watch: "bench", Method: "connect", At: at, Observation: o}
}

const benchHash = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// benchConfig is for a daemon that has nothing to do for a year.
func benchConfig(t *testing.T, dir, state string) string {
	path := filepath.Join(dir, "sonde.toml")
	text := fmt.Sprintf(`[sensor]
state_dir = %q
[[watch]]
name = "bench"
targets = ["127.16.0.0/12"]
tcp_ports = "%d-%d"
udp_ports = ""
discover_every = "365d"
verify_every = "365d"
best_effort = true
i_am_authorised = true
[discovery]
method = "connect"
[passive]
enabled = false
[output]
heartbeat_every = "1s"
`, state, benchPort, benchPort+benchPerHost-1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// benchPasses notes that everything was swept just now, so that the daemon that
// starts on it has no reason to.
func benchPasses(t *testing.T, s *inventory.Store, path string, now time.Time) {
	cfg, err := readConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	db, err := probes.Load(mustBuiltin(t)...)
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWatch(cfg, &cfg.Watches[0], method{name: "connect"}, db, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, sw := range w.Sweeps {
		p := sw.Pass
		p.Started, p.Done = now.Add(-time.Minute), now
		if err := s.PassDone(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
}

// benchMatched notes that all was matched by the daemon that starts next: what an
// update costs once is no part of a start.
func benchMatched(t *testing.T, s *inventory.Store, bin string) {
	program, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	db, err := probes.Load(mustBuiltin(t)...)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(program)
	_, err = s.Rematch(t.Context(), inventory.Matcher{Database: db.Hash, Engine: hex.EncodeToString(sum[:]),
		Again: func(was *probes.Observation) (probes.Observation, bool) { return *was, true }})
	if err != nil {
		t.Fatal(err)
	}
}

func mustBuiltin(t *testing.T) []probes.Source {
	sources, err := probes.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

// benchStart starts the daemon and gives the time until it says READY, the time
// until a heartbeat counts all n services as known, and its highest memory until
// then, in KiB.
func benchStart(t *testing.T, bin, config, events string, n int) (ready, loaded time.Duration, rss int) {
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, "run", "-c", config)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket)
	var log strings.Builder
	cmd.Stderr = &log
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := l.SetReadDeadline(begun.Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	for buf := make([]byte, 4096); ready == 0; {
		n, err := l.Read(buf)
		if err != nil {
			_ = cmd.Process.Kill()
			t.Fatalf("no READY: %v\n%s", err, log.String())
		}
		if strings.Contains(string(buf[:n]), "READY=1") {
			ready = time.Since(begun)
		}
	}
	known := fmt.Sprintf(`"known":%d,`, n)
	for loaded == 0 { // the file of another process cannot be waited for
		if text, _ := os.ReadFile(events); strings.Contains(string(text), known) {
			loaded = time.Since(begun)
		} else if time.Since(begun) > 5*time.Minute {
			t.Errorf("not all known after 5 minutes\n%s", log.String())
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	rss = statusKiB(t, cmd.Process.Pid, "VmHWM")
	t.Logf("READY after %v, %d MiB now, %d MiB at most", ready, statusKiB(t, cmd.Process.Pid, "VmRSS")>>10, rss>>10)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the daemon ends with %v\n%s", err, log.String())
	}
	return ready, loaded, rss
}

func statusKiB(t *testing.T, pid int, key string) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, key+":"); ok {
			n, err := strconv.Atoi(strings.Fields(v)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s", key)
	return 0
}

// written is how many bytes this process caused to be written to disk.
func written(t *testing.T) (n int64) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			if n, err = strconv.ParseInt(strings.TrimSpace(v), 10, 64); err != nil {
				t.Fatal(err)
			}
		}
	}
	return n
}

func cpuTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
