package relay

import "time"

// link is one connection of a client, or one request, at a process. Its mutex is that
// of the pool.
type link struct {
	pool *pool
	up   *upstream

	sent   bool // something of the client, or its end, went to the process
	spoken bool // the process has answered something
	moved  bool // neither, and neither will: it goes to another process

	asked    bool      // the client spoke last
	answered time.Time // the process did, then
}

// quiet is how long a process is silent when it has answered.
const quiet = 100 * time.Millisecond

// isAsked reports whether an answer is awaited or under way. The caller holds the
// mutex.
func (l *link) isAsked(now time.Time) bool {
	return l.asked || now.Sub(l.answered) < quiet
}

// ask is called before something of the client is sent; false: not to this process,
// for it is to end, and the client has not spoken to it.
func (l *link) ask() bool {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	if l.up.leaving && !l.sent && !l.spoken {
		l.moved = true
	}
	l.sent, l.asked = !l.moved, !l.moved
	return !l.moved
}

// unasked takes back what could not be sent; true: the client has not spoken to this
// process.
func (l *link) unasked(first bool) bool {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	l.moved = first && !l.spoken
	return l.moved
}

// answer is called before something of the process is passed on; false: its
// connection has been given up.
func (l *link) answer() bool {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	l.spoken = !l.moved
	l.asked, l.answered = false, time.Now()
	return l.spoken
}

// close lets the connection go to no other process.
func (l *link) close(closed bool) {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	l.sent = l.sent || closed
}

// ended notes that the process says no more, and reports whether the connection
// may go to another one: nothing of it was sent either way.
func (l *link) ended() bool {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	l.moved = l.moved || !l.sent && !l.spoken
	return l.moved
}

func (l *link) hasMoved() bool {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	return l.moved
}
