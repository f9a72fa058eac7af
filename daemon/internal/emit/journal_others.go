//go:build !linux

package emit

import "errors"

// dialJournal: journald runs on Linux only.
func dialJournal(string) (journalConn, error) { return nil, errors.ErrUnsupported }
