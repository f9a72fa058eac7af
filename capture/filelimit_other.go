//go:build !unix

package capture

import (
	"errors"
	"fmt"
)

// RaiseFileLimit does nothing on systems without such a limit.
func RaiseFileLimit() (uint64, error) {
	return 0, fmt.Errorf("raise the limit of open files: %w", errors.ErrUnsupported)
}
