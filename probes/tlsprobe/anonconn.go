package tlsprobe

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

const (
	saltSize    = 4 // RFC 5288 section 3: fixed, of the key expansion
	nonceSize   = 8 // sent with each record
	maxFragment = 1 << 14

	// maxEmpty is how many records without data are read in a row, as in
	// crypto/tls: they are legal, and a peer that sends nothing else is not.
	maxEmpty = 16
)

// A half protects one direction of a tunnel: AES-GCM by RFC 5288.
type half struct {
	aead cipher.AEAD
	salt [saltSize]byte
	seq  uint64
}

func newHalf(key, salt []byte) (*half, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &half{aead: aead, salt: [saltSize]byte(salt)}, nil
}

// next gives the nonce and the additional data of the next record.
func (h *half) next(kind byte, explicit []byte, n int) (nonce, extra []byte) {
	extra = binary.BigEndian.AppendUint64(nil, h.seq)
	h.seq++
	extra = append(extra, kind, 3, 3, byte(n>>8), byte(n))
	return append(h.salt[:len(h.salt):len(h.salt)], explicit...), extra
}

func (h *half) seal(kind byte, b []byte) []byte {
	explicit := binary.BigEndian.AppendUint64(nil, h.seq)
	nonce, extra := h.next(kind, explicit, len(b))
	return h.aead.Seal(explicit, nonce, b, extra)
}

func (h *half) open(kind byte, b []byte) ([]byte, error) {
	n := len(b) - nonceSize - h.aead.Overhead()
	if n < 0 {
		return nil, errors.New("record is too short")
	}
	nonce, extra := h.next(kind, b[:nonceSize], n)
	return h.aead.Open(nil, nonce, b[nonceSize:], extra)
}

// An anonConn is the inside of a tunnel. One may read while another writes.
type anonConn struct {
	net.Conn
	in, out *half  // nil: in clear
	left    []byte // read and not taken yet
	err     error  // the end of reading
}

// record reads one record; an alert is an error.
func (c *anonConn) record() (kind byte, body []byte, err error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(c.Conn, head[:]); err != nil {
		return 0, nil, err
	}
	n := int(binary.BigEndian.Uint16(head[3:]))
	if head[1] != 3 || n > maxRecord {
		return 0, nil, errors.New("malformed record")
	}
	body = make([]byte, n)
	if _, err := io.ReadFull(c.Conn, body); err != nil {
		return 0, nil, err
	}
	if kind = head[0]; c.in != nil {
		if body, err = c.in.open(kind, body); err != nil {
			return 0, nil, err
		}
	}
	if len(body) > maxFragment {
		return 0, nil, errors.New("record is too long")
	}
	if kind == recordAlert {
		return 0, nil, alertError(body)
	}
	return kind, body, nil
}

// alertError words an alert as crypto/tls does, for [Alert].
func alertError(body []byte) error {
	switch {
	case len(body) != 2:
		return errors.New("malformed alert")
	case body[1] == 0: // close_notify
		return io.EOF
	}
	return &net.OpError{Op: "remote error", Err: tls.AlertError(body[1])}
}

// write sends one record.
func (c *anonConn) write(kind byte, b []byte) error {
	if c.out != nil {
		b = c.out.seal(kind, b)
	}
	_, err := c.Conn.Write(append([]byte{kind, 3, 3, byte(len(b) >> 8), byte(len(b))}, b...))
	return err
}

// Read implements net.Conn.
func (c *anonConn) Read(b []byte) (int, error) {
	for empty := 0; len(c.left) == 0 && c.err == nil; empty++ {
		kind, body, err := c.record()
		switch {
		case err != nil:
			c.err = err
		case kind != recordData:
			c.err = fmt.Errorf("unexpected record of type %d", kind)
		case empty >= maxEmpty:
			c.err = errors.New("too many empty records")
		}
		c.left = body
	}
	if len(c.left) == 0 {
		return 0, c.err
	}
	n := copy(b, c.left)
	c.left = c.left[n:]
	return n, nil
}

// Write implements net.Conn.
func (c *anonConn) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		part := b[done:min(len(b), done+maxFragment)]
		if err := c.write(recordData, part); err != nil {
			return done, err
		}
		done += len(part)
	}
	return done, nil
}

// CloseWrite says goodbye (close_notify).
func (c *anonConn) CloseWrite() error { return c.write(recordAlert, []byte{1, 0}) }
