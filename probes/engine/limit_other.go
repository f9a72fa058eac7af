//go:build !unix

package engine

// fileLimit is how many sockets a program may sensibly hold where the system
// sets no limit: on the portable engine each takes a goroutine and a buffer.
func fileLimit() uint64 { return 8192 }
