// Package sqlfile opens the SQLite files of the state directory: one way to name
// a file to the driver, and one to make it.
package sqlfile

import (
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver that the names are for
)

// Mode is that of the files: the group may read.
const Mode = 0o640

// Touch makes sure that the file is there and may be written, with a mode
// that SQLite would not give it. Its own error names the cause better, too.
func Touch(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, Mode)
	if err != nil {
		return err
	}
	return f.Close()
}

// DSN names a file to the driver "sqlite". The mode is "ro", "rw" or "rwc", the
// pragmas are as in "busy_timeout(5000)". The path is escaped, so that "?" and
// "#" in a directory's name are no parameters.
func DSN(path, mode string, pragmas ...string) string {
	q := url.Values{"mode": {mode}, "_pragma": pragmas}
	p := filepath.ToSlash(path)
	if filepath.VolumeName(path) != "" {
		p = "/" + p
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: p, RawQuery: q.Encode()}
	if !filepath.IsAbs(path) {
		u = url.URL{Scheme: "file", Opaque: (&url.URL{Path: p}).EscapedPath(), RawQuery: q.Encode()}
	}
	return u.String()
}
