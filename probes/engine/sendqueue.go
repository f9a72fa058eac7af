package engine

// A sendQueue is what a connection has yet to send. The common case, one
// buffer at a time, needs no memory.
type sendQueue struct {
	first []byte   // what is left of the oldest
	some  bool     // first is in use, though it may be empty
	rest  [][]byte // the others
}

func (q *sendQueue) empty() bool { return !q.some }

func (q *sendQueue) push(b []byte) {
	if !q.some {
		q.first, q.some = b, true
		return
	}
	q.rest = append(q.rest, b)
}

func (q *sendQueue) head() []byte { return q.first }

// advance takes n bytes off the head, and says whether that was all of it.
func (q *sendQueue) advance(n int) bool {
	if n < len(q.first) {
		q.first = q.first[n:]
		return false
	}
	if len(q.rest) == 0 {
		q.clear()
		return true
	}
	q.first = q.rest[0]
	q.rest[0] = nil
	q.rest = q.rest[1:]
	return true
}

func (q *sendQueue) clear() { *q = sendQueue{} }
