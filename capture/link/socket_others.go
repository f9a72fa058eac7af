//go:build !linux

package link

import "time"

// A Socket sends and receives frames; here there is none.
type Socket struct{}

// Open fails with [ErrUnsupported].
func Open(Config) (*Socket, error) { return nil, ErrUnsupported }

// OpenRaw fails with [ErrUnsupported].
func OpenRaw(Config) (*Socket, error) { return nil, ErrUnsupported }

// Medium is that of the frames.
func (s *Socket) Medium() Medium { return 0 }

// MTU is how long an IP packet may be.
func (s *Socket) MTU() int { return 0 }

// Send fails with [ErrUnsupported].
func (s *Socket) Send([][]byte) (int, error) { return 0, ErrUnsupported }

// Receive fails with [ErrUnsupported].
func (s *Socket) Receive(func([]byte, time.Time)) error { return ErrUnsupported }

// Busy is zero.
func (s *Socket) Busy() time.Duration { return 0 }

// Drops counts nothing.
func (s *Socket) Drops() (received, dropped uint64) { return 0, 0 }

// Counters counts nothing.
func (s *Socket) Counters() Counters { return Counters{} }

// Close does nothing.
func (s *Socket) Close() error { return nil }
