//go:build unix

package inventory

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// becomeNobody makes the command run without root's power over files. The
// test binary lies where only root can reach it, so it gets a copy.
func becomeNobody(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	const nobody = 65534
	dir := publicDir(t)
	self := filepath.Join(dir, "inventory.test")
	if err := copyFile(self, cmd.Path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(self, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.Path, cmd.Dir = self, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}
