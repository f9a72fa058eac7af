//go:build (integration || lab) && linux

package starttls

import "net"

// run holds a dialogue over a connection.
func run(conn net.Conn, d Dialogue) (State, error) {
	buf := make([]byte, 4096)
	send, state := d.Next(nil)
	for {
		if len(send) > 0 {
			if _, err := conn.Write(send); err != nil {
				return state, err
			}
		}
		if state != Waiting {
			return state, nil
		}
		n, err := conn.Read(buf)
		if err != nil {
			return state, err
		}
		send, state = d.Next(buf[:n])
	}
}
