package engine

// A todoList is a queue of sockets that have something left to do at the end
// of a turn.
type todoList struct{ first, last *socket }

func (q *todoList) empty() bool { return q.first == nil }

// add appends s, unless it is there already.
func (q *todoList) add(s *socket) {
	if s.inTodo {
		return
	}
	s.inTodo = true
	if q.first == nil {
		q.first = s
	} else {
		q.last.todoNext = s
	}
	q.last = s
}

// take empties the list and gives its first socket.
func (q *todoList) take() *socket {
	s := q.first
	q.first, q.last = nil, nil
	return s
}

// A waitList is a queue of connections that wait for resources.
type waitList struct{ first, last *socket }

func (q *waitList) push(s *socket) {
	s.waitIn, s.waitPrev, s.waitNext = q, q.last, nil
	if q.last == nil {
		q.first = s
	} else {
		q.last.waitNext = s
	}
	q.last = s
}

// pushFirst gives s its place at the head back.
func (q *waitList) pushFirst(s *socket) {
	s.waitIn, s.waitPrev, s.waitNext = q, nil, q.first
	if q.first == nil {
		q.last = s
	} else {
		q.first.waitPrev = s
	}
	q.first = s
}

func (q *waitList) remove(s *socket) {
	if s.waitPrev == nil {
		q.first = s.waitNext
	} else {
		s.waitPrev.waitNext = s.waitNext
	}
	if s.waitNext == nil {
		q.last = s.waitPrev
	} else {
		s.waitNext.waitPrev = s.waitPrev
	}
	s.waitIn, s.waitPrev, s.waitNext = nil, nil, nil
}
