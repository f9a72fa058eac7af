package emit

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// journalSocket is a datagram socket to journald.
type journalSocket struct {
	conn *net.UnixConn
	to   *net.UnixAddr
}

func dialJournal(path string) (journalConn, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram"}) // bound to no name
	if err != nil {
		return nil, err
	}
	return &journalSocket{conn, &net.UnixAddr{Name: path, Net: "unixgram"}}, nil
}

func (s *journalSocket) close() error { return s.conn.Close() }

// send sends an entry as one datagram, or one that is too long for that as a
// sealed file in memory, which the protocol asks for.
func (s *journalSocket) send(entry []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	_, _, err := s.conn.WriteMsgUnix(entry, nil, s.to)
	if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) {
		return s.sendFile(entry)
	}
	return err
}

func (s *journalSocket) sendFile(entry []byte) error {
	fd, err := unix.MemfdCreate("sonde-journal", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return fmt.Errorf("memory file: %w", err)
	}
	f := os.NewFile(uintptr(fd), "sonde-journal")
	defer f.Close()
	if _, err := f.Write(entry); err != nil {
		return fmt.Errorf("memory file: %w", err)
	}
	const all = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, all); err != nil {
		return fmt.Errorf("seal memory file: %w", err)
	}
	_, _, err = s.conn.WriteMsgUnix(nil, unix.UnixRights(int(f.Fd())), s.to)
	return err
}
