//go:build unix

package inventory

import (
	"fmt"
	"os"
	"syscall"
)

// giveTo gives a file that root has made to the owner of the state directory,
// without which the service could not open it. Others than root have made it for
// themselves.
func giveTo(dir, file string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	st, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s has no owner", dir)
	}
	return os.Lchown(file, int(owner.Uid), int(owner.Gid))
}
