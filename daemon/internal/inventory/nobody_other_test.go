//go:build !unix

package inventory

import (
	"os/exec"
	"testing"
)

func becomeNobody(t *testing.T, _ *exec.Cmd) { t.Skip("needs the permissions of a Unix system") }
