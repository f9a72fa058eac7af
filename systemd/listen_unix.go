//go:build unix

package systemd

import (
	"os"

	"github.com/coreos/go-systemd/v22/activation"
)

func listenFiles() []*os.File { return activation.Files(true) }
