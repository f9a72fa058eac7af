package engine

// A todoList is a queue of connections that have something left to do at the
// end of a turn.
type todoList struct{ first, last *conn }

func (q *todoList) empty() bool { return q.first == nil }

// add appends c, unless it is there already.
func (q *todoList) add(c *conn) {
	if c.inTodo {
		return
	}
	c.inTodo = true
	if q.first == nil {
		q.first = c
	} else {
		q.last.todoNext = c
	}
	q.last = c
}

// take empties the list and gives its first connection.
func (q *todoList) take() *conn {
	c := q.first
	q.first, q.last = nil, nil
	return c
}

// A connList is a queue that connections can leave from anywhere. Each is in
// one at most.
type connList struct{ first, last *conn }

func (q *connList) push(c *conn) {
	c.in, c.prev, c.next = q, q.last, nil
	if q.last == nil {
		q.first = c
	} else {
		q.last.next = c
	}
	q.last = c
}

// pushFirst gives c its place at the head back.
func (q *connList) pushFirst(c *conn) {
	c.in, c.prev, c.next = q, nil, q.first
	if q.first == nil {
		q.last = c
	} else {
		q.first.prev = c
	}
	q.first = c
}

func (q *connList) remove(c *conn) {
	if c.prev == nil {
		q.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		q.last = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.in, c.prev, c.next = nil, nil, nil
}
