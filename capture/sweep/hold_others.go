//go:build !linux

package sweep

import (
	"errors"
	"fmt"
)

type hold struct{ ports []uint16 }

func holdPorts(Range, bool) (*hold, error) {
	return nil, fmt.Errorf("hold source ports: %w", errors.ErrUnsupported)
}

func (*hold) close() {}
