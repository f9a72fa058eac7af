//go:build linux

package capturetest

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m, nil)) }
