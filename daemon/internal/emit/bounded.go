package emit

import (
	"fmt"
	"io"
)

// roomEvery is how many bytes are written between two looks at what is free.
const roomEvery = 16 << 20

// bounded is a Writer of which no more is wanted than some bytes, and only while
// there is room.
type bounded struct {
	to   io.Writer
	most int64        // 0: any number
	room func() error // nil: there is

	written, next int64 // next is when to look
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.most > 0 && b.written+int64(len(p)) > b.most {
		return 0, fmt.Errorf("it would take more than %d MiB", b.most>>20)
	}
	if b.room != nil && b.written >= b.next {
		if err := b.room(); err != nil {
			return 0, err
		}
		b.next = b.written + roomEvery
	}
	n, err := b.to.Write(p)
	b.written += int64(n)
	return n, err
}
