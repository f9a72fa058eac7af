//go:build unix

package inventory

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestRestoreKeepsTheOwner restores as root into the directory of another user,
// who must be able to open what is there then.
func TestRestoreKeepsTheOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: only root (CAP_CHOWN) can give files away")
	}
	from, to := t.TempDir(), t.TempDir()
	s, err := Open(t.Context(), Config{Dir: from})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	const user, group = 64123, 64124
	if err := os.Chown(to, user, group); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), to, filepath.Join(from, FileName), time.Now()); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(to)
	if err != nil || len(files) < 2 {
		t.Fatalf("%d files, %v; want store and lock", len(files), err)
	}
	for _, f := range files {
		st, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		if o := st.Sys().(*syscall.Stat_t); o.Uid != user || o.Gid != group {
			t.Errorf("%s belongs to %d:%d, want %d:%d", f.Name(), o.Uid, o.Gid, user, group)
		}
	}
}
