package systemd

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
)

// Listeners takes over the stream sockets that the service manager has opened
// for this process (sd_listen_fds(3)), by the names that their FileDescriptorName=
// gives; without one that is the name of the socket's unit. Without such sockets the map is
// empty.
//
// It can be called once: afterwards the variables that tell of the sockets are
// gone, so that no child takes them for its own. Closing a listener leaves the
// file of a Unix socket in place, as that is the service manager's, which goes on
// listening for the next start.
//
// A socket that does not listen, and a name that comes twice, are errors; then
// all sockets are closed.
func Listeners() (map[string]net.Listener, error) {
	return listeners(listenFiles())
}

func listeners(files []*os.File) (map[string]net.Listener, error) {
	out := make(map[string]net.Listener, len(files))
	var errs []error
	for _, f := range files {
		name := f.Name()
		l, err := net.FileListener(f)
		errs = append(errs, f.Close()) // the listener has a descriptor of its own
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("socket %q of the service manager: %w", name, err))
		case out[name] != nil:
			errs = append(errs, fmt.Errorf("socket %q of the service manager: the name comes twice", name), l.Close())
		default:
			out[name] = l
		}
	}
	if err := errors.Join(errs...); err != nil {
		for l := range maps.Values(out) {
			err = errors.Join(err, l.Close())
		}
		return nil, err
	}
	return out, nil
}
