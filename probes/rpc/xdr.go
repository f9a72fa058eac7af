package rpc

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrShort says that a message ended before what it promised.
var ErrShort = errors.New("message too short")

// A decoder reads XDR (RFC 4506). The first error stays, and every read after
// it gives zero values, so that a caller may look once at the end.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.rest = nil
}

func (d *decoder) uint32() uint32 {
	if len(d.rest) < 4 {
		d.fail(ErrShort)
		return 0
	}
	v := binary.BigEndian.Uint32(d.rest)
	d.rest = d.rest[4:]
	return v
}

// opaque reads variable-length data of at most limit bytes, with its padding.
func (d *decoder) opaque(limit int) []byte {
	n := d.uint32()
	if d.err != nil {
		return nil
	}
	if uint64(n) > uint64(limit) {
		d.fail(fmt.Errorf("data of %d bytes, limit %d", n, limit))
		return nil
	}
	padded := (int(n) + 3) &^ 3
	if len(d.rest) < padded {
		d.fail(ErrShort)
		return nil
	}
	data := d.rest[:n]
	d.rest = d.rest[padded:]
	return data
}

// flag reads a boolean; anything but 0 and 1 is an error.
func (d *decoder) flag() bool {
	v := d.uint32()
	if v > 1 {
		d.fail(fmt.Errorf("boolean of value %d", v))
	}
	return v == 1
}

func appendUint32(dst []byte, vs ...uint32) []byte {
	for _, v := range vs {
		dst = binary.BigEndian.AppendUint32(dst, v)
	}
	return dst
}
