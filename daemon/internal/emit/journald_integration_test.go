//go:build integration && linux

package emit

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sonde/daemon/internal/event"
)

// journaldScript runs a journald that sees a /run of its own, and nothing of
// this machine's journal.
const journaldScript = `set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal
echo 0123456789abcdef0123456789abcdef > /run/machine-id
[ -e /etc/machine-id ] && mount --bind /run/machine-id /etc/machine-id
printf '[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\nReadKMsg=no\nAudit=no\nLineMax=1M\n' > /run/journald.conf
mount --bind /run/journald.conf /etc/systemd/journald.conf
exec "$1"`

func TestJournaldUnderstands(t *testing.T) {
	journald := need(t, "systemd", "/lib/systemd/systemd-journald", "/usr/lib/systemd/systemd-journald")
	journalctl := need(t, "systemd", "journalctl")
	unshare := need(t, "util-linux", "unshare")
	if os.Geteuid() != 0 {
		t.Skip("a mount namespace needs root")
	}
	cmd := exec.Command(unshare, "-m", "sh", "-c", journaldScript, "sh", journald)
	start(t, cmd)
	root := fmt.Sprintf("/proc/%d/root", cmd.Process.Pid)

	socket := filepath.Join(root, JournalSocket)
	eventually(t, "journald", func() bool {
		_, err := os.Stat(socket)
		_, files := os.ReadDir(filepath.Join(root, "run/log/journal"))
		private, _ := os.Stat(filepath.Join(root, "run/journald.conf"))
		return err == nil && files == nil && private != nil
	})
	s := NewJournal(socket)
	defer s.Close()
	var sent []Record
	for i, a := range event.Actions() {
		sent = append(sent, sample(int64(i+1), a))
	}
	for _, text := range corpus {
		r := attack(text[:min(len(text), 512)])
		r.Event.Seq = int64(len(sent) + 1)
		sent = append(sent, rerecord(r.Event))
	}
	big := attack(corpus["64 KiB"]) // goes as a file
	big.Event.Seq = int64(len(sent) + 1)
	sent = append(sent, rerecord(big.Event))
	if n, err := s.Deliver(t.Context(), sent); n != len(sent) || err != nil {
		t.Fatal(n, err)
	}
	var entries []map[string]any
	eventually(t, "entries", func() bool {
		entries = readJournal(t, journalctl, filepath.Join(root, "run/log/journal"))
		return len(entries) >= len(sent)
	})
	if len(entries) != len(sent) {
		t.Fatalf("%d events sent, %d entries", len(sent), len(entries))
	}
	for i := range sent {
		compareEntry(t, &sent[i], entries[i])
	}
}

// readJournal gives the entries of ours, as journalctl tells them.
func readJournal(t *testing.T, journalctl, dir string) (out []map[string]any) {
	t.Helper()
	cmd := exec.Command(journalctl, "-D", dir, "-o", "json", "--all", "--no-pager", "SYSLOG_IDENTIFIER=sonde")
	text, err := cmd.Output()
	if err != nil {
		return nil // it has no file yet
	}
	for line := range strings.Lines(string(text)) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("journalctl: %v in %.300q", err, line)
		}
		out = append(out, m)
	}
	return out
}

func compareEntry(t *testing.T, r *Record, entry map[string]any) {
	t.Helper()
	want := map[string]string{"_TRANSPORT": "journal", "_PID": fmt.Sprint(os.Getpid()),
		"SONDE_EVENT": string(appendJSONLine(nil, r.JSON))}
	for _, f := range journalFields(&r.Event) {
		if f[1] != "" {
			want[f[0]] = clean(f[1])
		}
	}
	for name, value := range want {
		if got := fmt.Sprint(entry[name]); got != value {
			t.Errorf("event %d: %s = %.200q, want %.200q", r.Event.Seq, name, got, value)
		}
	}
	for name := range entry {
		if _, ours := want[name]; !ours && !strings.HasPrefix(name, "_") && name != "SYSLOG_IDENTIFIER" {
			t.Errorf("event %d: field %s is not ours", r.Event.Seq, name)
		}
	}
}
