package link

import "golang.org/x/sys/unix"

// A device is an interface as its sockets see it.
type device struct {
	index, mtu int
	medium     Medium // 0 for one that is not known
}

// lookUp finds an interface in the network namespace of the socket fd.
func lookUp(fd int, name string) (d device, err error) {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return d, err
	}
	if err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req); err != nil {
		return d, err
	}
	d.index = int(req.Uint32())
	if err = unix.IoctlIfreq(fd, unix.SIOCGIFMTU, req); err != nil {
		return d, err
	}
	d.mtu = int(req.Uint32())
	if err = unix.IoctlIfreq(fd, unix.SIOCGIFHWADDR, req); err != nil {
		return d, err
	}
	switch req.Uint16() {
	case unix.ARPHRD_ETHER:
		d.medium = Ethernet
	// The kernel adds and strips the headers of these itself, if any. Those of
	// loopback are of no use: what is sent with them is taken for martian.
	case unix.ARPHRD_NONE, unix.ARPHRD_PPP, unix.ARPHRD_RAWIP, unix.ARPHRD_TUNNEL,
		unix.ARPHRD_TUNNEL6, unix.ARPHRD_SIT, unix.ARPHRD_IPGRE, unix.ARPHRD_IP6GRE, unix.ARPHRD_LOOPBACK:
		d.medium = IP
	}
	return d, nil
}
