//go:build integration && linux

package emit

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"sonde/daemon/internal/event"
)

// many is how many events come while a receiver is down.
const many = 10_000

// drainTo runs a Drain to the sink until the test ends.
func drainTo(t *testing.T, box *outbox, sink Sink, backlog int64) *Drain {
	t.Helper()
	wake := make(chan struct{}, 1)
	d := &Drain{Source: box, Sink: sink, Epoch: testEpoch, Wake: wake, MaxBacklog: backlog, Health: new(Health),
		DownAfter: time.Second, Log: slog.New(slog.DiscardHandler), FlushTimeout: time.Second}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx, func() {}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return d
}

func (o *outbox) cursorOf(sink string) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.cursors[sink]
}

func (o *outbox) addMany(n int) {
	for range n {
		o.add(event.ServiceNew)
	}
}

// snapshot gives what the outbox has now.
func (o *outbox) snapshot() []Record {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Record(nil), o.records...)
}

// missing counts the events that the server has not, but for those that were
// told dropped.
func (s *site) missing(t *testing.T, box *outbox) (missing, dropped int) {
	t.Helper()
	have := map[string]bool{}
	for _, m := range s.lines(t) {
		have[fmt.Sprint(rsyslogRead(m).sd["id"])] = true
	}
	told := map[int64]bool{}
	all := box.snapshot()
	for _, r := range all {
		if c := r.Event.Counts; r.Event.Action == event.SensorDegraded && c["dropped"] > 0 {
			for seq := c["seq_first"]; seq <= c["seq_last"]; seq++ {
				told[int64(seq)] = true
			}
		}
	}
	for _, r := range all {
		switch {
		case told[r.Event.Seq] && have[r.Event.ID]:
			t.Errorf("event %d was told dropped, and the server has it", r.Event.Seq)
		case !told[r.Event.Seq] && !have[r.Event.ID]:
			missing++
		}
	}
	return missing, len(told)
}

// has says whether an event of the action is about a sink and says so.
func (o *outbox) has(a event.Action, text string) bool {
	for _, r := range o.snapshot() {
		if r.Event.Action == a && strings.HasPrefix(r.Event.Reason, "sink ") && strings.Contains(r.Event.Message, text) {
			return true
		}
	}
	return false
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
}

// TestReceiverDownAndBack: a server is dead while 10,000 events come, told so,
// and has all of them afterwards, but for what max_backlog dropped and told.
func TestReceiverDownAndBack(t *testing.T) {
	for _, c := range []struct {
		network string
		backlog int64
	}{{"tcp", 100_000}, {"tls", 100_000}, {"tcp", 1000}} {
		t.Run(fmt.Sprint(c.network, " ", c.backlog), func(t *testing.T) {
			s, _, up := rsyslogd(t)
			server := up()
			box := &outbox{cursors: map[string]int64{}}
			drainTo(t, box, s.sink(c.network, Sonde), c.backlog)
			box.addMany(100)
			eventually(t, "the first events", func() bool { n, _ := s.missing(t, box); return n == 0 })
			kill(t, server)
			box.addMany(many)
			eventually(t, "sensor.degraded", func() bool { return box.has(event.SensorDegraded, "cannot be delivered") })
			up()
			eventually(t, "sensor.recovered", func() bool { return box.has(event.SensorRecovered, "again") })
			eventually(t, "all events", func() bool { n, _ := s.missing(t, box); return n == 0 })
			_, dropped := s.missing(t, box)
			if wants := c.backlog < many; (dropped > 0) != wants || dropped > many {
				t.Errorf("%d told dropped with a backlog of %d", dropped, c.backlog)
			}
			t.Logf("%d events, %d told dropped, %d messages received", len(box.snapshot()), dropped, len(s.lines(t)))
		})
	}
}

// TestReceiverStopsReading: a server is stopped amid 10,000 events and goes on
// later. Nothing is lost, and nothing dropped.
func TestReceiverStopsReading(t *testing.T) {
	s, _, up := rsyslogd(t)
	server := up()
	box := &outbox{cursors: map[string]int64{}}
	drainTo(t, box, s.sink("tcp", Sonde), 100_000)
	box.addMany(100)
	eventually(t, "the first events", func() bool { n, _ := s.missing(t, box); return n == 0 })
	if err := server.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	box.addMany(many)
	// Until the buffers between us are full, and nothing more goes through.
	eventually(t, "a standstill", func() bool {
		before := box.cursorOf(SyslogName)
		time.Sleep(500 * time.Millisecond)
		return box.cursorOf(SyslogName) == before
	})
	if err := server.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all events", func() bool { n, _ := s.missing(t, box); return n == 0 })
	if _, dropped := s.missing(t, box); dropped > 0 {
		t.Errorf("%d told dropped", dropped)
	}
}

// TestReceiverWithAWrongCertificate: nothing is sent to it, which is told with
// its cause; with the right authority in the file all comes, without a restart.
func TestReceiverWithAWrongCertificate(t *testing.T) {
	s, ca, up := rsyslogd(t)
	up()
	stranger := newAuthority(t, t.TempDir(), "ca")
	right, err := os.ReadFile(ca.file("ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	s.files.CA = stranger.file("ca.crt")
	box := &outbox{cursors: map[string]int64{}}
	drainTo(t, box, s.sink("tls", Sonde), 100_000)
	box.addMany(100)
	eventually(t, "sensor.degraded", func() bool {
		return box.has(event.SensorDegraded, "certificate signed by unknown authority")
	})
	if n := len(s.lines(t)); n > 0 {
		t.Fatalf("%d messages sent to a server that nobody knows", n)
	}
	if err := os.WriteFile(s.files.CA, right, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "sensor.recovered", func() bool { return box.has(event.SensorRecovered, "again") })
	eventually(t, "all events", func() bool { n, _ := s.missing(t, box); return n == 0 })
}
