//go:build !integration

package sweep

import (
	"os"
	"testing"
)

// asRole is for integration tests, which start this program again.
func asRole(*testing.M) (leave bool, code int) { return false, 0 }

func exit(code int) { os.Exit(code) }
