package rpc

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// lastFragment is the bit of a fragment's header that ends a record (RFC 5531,
// section 11); the other 31 bits are its length.
const lastFragment = 1 << 31

// The errors of Records.
var (
	ErrRecordTooLong    = fmt.Errorf("record of more than %d bytes", MaxRecord)
	ErrTooManyFragments = fmt.Errorf("record of more than %d fragments", MaxFragments)
	// ErrEmptyFragment ends a stream of headers without data, which would go
	// on for ever.
	ErrEmptyFragment = errors.New("fragment without data that is not the last")
)

// AppendRecord appends msg as a record of one fragment, for a byte stream. It
// must be shorter than 2 GiB.
func AppendRecord(dst, msg []byte) []byte {
	return append(appendUint32(dst, lastFragment|uint32(len(msg))), msg...)
}

// Records puts the messages of a byte stream together again. The zero value is
// ready for a new connection. It holds at most MaxRecord bytes.
type Records struct {
	head      [4]byte
	headLen   int
	body      []byte
	want      int // bytes of the current fragment that are still to come
	fragments int
	last      bool
	err       error
}

// Feed takes the next bytes of the stream and calls each for every message that
// is complete with them; msg is valid during the call only. An error is one of
// the stream: it stays, and nothing is read any more.
func (r *Records) Feed(data []byte, each func(msg []byte)) error {
	for len(data) > 0 && r.err == nil {
		if r.want > 0 {
			n := min(r.want, len(data))
			r.body = append(r.body, data[:n]...)
			data, r.want = data[n:], r.want-n
		} else {
			n := copy(r.head[r.headLen:], data)
			data, r.headLen = data[n:], r.headLen+n
			if r.headLen < len(r.head) {
				break
			}
			r.err = r.begin(binary.BigEndian.Uint32(r.head[:]))
		}
		if r.err == nil && r.want == 0 && r.last {
			each(r.body)
			r.body, r.fragments, r.last = r.body[:0], 0, false
		}
	}
	if r.err != nil {
		r.body = nil
	}
	return r.err
}

// begin starts a fragment.
func (r *Records) begin(head uint32) error {
	length := int(head &^ lastFragment)
	r.headLen = 0
	r.last = head&lastFragment != 0
	r.fragments++
	switch {
	case length > MaxRecord-len(r.body):
		return ErrRecordTooLong
	case r.fragments > MaxFragments:
		return ErrTooManyFragments
	case length == 0 && !r.last:
		return ErrEmptyFragment
	}
	r.want = length
	return nil
}

// Partial reports whether the stream stands inside a record: a connection that
// ends now was cut.
func (r *Records) Partial() bool {
	return r.err == nil && (r.headLen > 0 || r.fragments > 0)
}
