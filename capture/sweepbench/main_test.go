//go:build (bench || integration) && linux

package sweepbench

import (
	"os"
	"testing"

	"sonde/capture/capturetest"
)

func TestMain(m *testing.M) { os.Exit(capturetest.Main(m, roles)) }

// roles are what this package's tests do in processes of their own.
var roles = map[string]capturetest.Role{"sweep": sweepRole}
