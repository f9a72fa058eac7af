package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// Control is how a running daemon is asked, and told what to do.
type Control struct {
	Enabled   bool
	Directory string // of both sockets; "" until Resolve
	ReadGroup string // name or number of who may ask; "" means the daemon's own
	ActGroup  string // … of who may tell it what to do
	Listen    netip.AddrPort
}

// The names of the sockets within Control.Directory.
const (
	ReadSocket = "read.sock"
	ActSocket  = "act.sock"
)

// ReadPath is where the socket of those who ask is.
func (c *Control) ReadPath() string { return filepath.Join(c.Directory, ReadSocket) }

// ActPath is where the socket of those who act is.
func (c *Control) ActPath() string { return filepath.Join(c.Directory, ActSocket) }

var controlTable = table[Control]{
	"enabled":    flag(func(c *Control) *bool { return &c.Enabled }),
	"directory":  text(func(c *Control) *string { return &c.Directory }, checkAbsolute),
	"read_group": text(func(c *Control) *string { return &c.ReadGroup }, checkGroup),
	"act_group":  text(func(c *Control) *string { return &c.ActGroup }, checkGroup),
	"listen":     parsed(func(c *Control) *netip.AddrPort { return &c.Listen }, `"127.0.0.1:9797"`, parseLoopback),
}

// maxGroup is the longest name that groupadd makes.
const maxGroup = 32

// checkGroup takes a name as groupadd(8) makes it, a number, and "".
func checkGroup(s string) error {
	strange := func(c rune) bool { return c <= ' ' || c > '~' || c == ':' || c == ',' || c == '/' }
	_, err := strconv.ParseUint(s, 10, 32)
	digits := s != "" && strings.Trim(s, "0123456789") == ""
	if len(s) > maxGroup || strings.ContainsFunc(s, strange) || digits && err != nil {
		return fmt.Errorf(`%.80q is no group; write the name or the number of one, such as "sonde"`, s)
	}
	return nil
}

// parseLoopback reads a loopback address with its port. Who asks there is not
// known, so that it must be somebody on this machine.
func parseLoopback(s string) (netip.AddrPort, error) {
	if s == "" {
		return netip.AddrPort{}, nil
	}
	ap, err := netip.ParseAddrPort(s)
	switch {
	case err != nil || ap.Addr().Zone() != "":
		return ap, fmt.Errorf(`%.80q is no address with a port; write one like "127.0.0.1:9797" or "[::1]:9797"`, s)
	case !ap.Addr().Unmap().IsLoopback():
		return ap, fmt.Errorf(`%.80q is not on loopback, and who asks there is not checked; write one like "127.0.0.1:9797"`, s)
	case ap.Port() == 0:
		return ap, fmt.Errorf(`%.80q has no port that anybody could know; write one like "127.0.0.1:9797"`, s)
	}
	return ap, nil
}

// DefaultRuntimeDir is the runtime directory of a service: what systemd made for
// it ($RUNTIME_DIRECTORY, of several the first), else /run/sonde.
func DefaultRuntimeDir(getenv func(string) string) string {
	if dirs := filepath.SplitList(getenv("RUNTIME_DIRECTORY")); len(dirs) > 0 && dirs[0] != "" {
		return dirs[0]
	}
	return "/run/sonde"
}
