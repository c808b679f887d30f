package handover

import "time"

// The way of a connection from a server to the successor, and back if that
// refuses it.

// successor takes connections of this server now; nil: there is none.
func (s *Server) successor() *successor {
	for s.listener != nil {
		next := s.all.successor.Load()
		switch {
		case next == nil:
			return nil
		case next.takes(s.listener.name):
			return next
		case next == s.all.successor.Load():
			return nil
		}
		// Another has just taken its place.
	}
	return nil
}

// nextSuccessor is how long a drain waits for another successor before it tells
// connections to go, in the rest of a lame duck.
const nextSuccessor = 2 * time.Second

// maySucceed reports whether a successor takes connections, or may soon.
func (s *Server) maySucceed() bool {
	if s.successor() != nil {
		return true
	}
	next := s.all.successor.Load()
	return next != nil && s.listener != nil &&
		(next.takes(s.listener.name) || next.refusedWithin(min(nextSuccessor, s.lameDuck()/2)))
}

// handOver offers every connection to the successor, each as soon as it waits for
// a request.
func (s *Server) handOver() {
	if s.successor() == nil {
		return
	}
	s.parking.handOver()
	s.mu.Lock()
	defer s.mu.Unlock()
	for nc := range s.states {
		if c, ok := nc.(*conn); ok {
			c.handOver()
		}
	}
}

// give offers the successor a connection that was taken from the server.
func (s *Server) give(c *conn) {
	s.mu.Lock()
	s.onTheWay++
	s.mu.Unlock()
	if next := s.successor(); next == nil || !next.push(c) {
		s.given(c, false)
	}
}

// given is the successor's answer: it takes the connection, or the connection is
// served on here.
func (s *Server) given(c *conn, taken bool) {
	if taken {
		s.all.Counts.Moved.Add(1)
		_ = c.end() // only this process's copy of it
	} else {
		s.takeBack(c)
		s.returned.Store(true)
	}
	s.mu.Lock()
	s.onTheWay--
	s.mu.Unlock()
	s.notify()
}

// takeBack lets the server here accept a connection once more.
func (s *Server) takeBack(c *conn) {
	again := &conn{Conn: c.Conn, listener: c.listener, server: s, replay: c.unparsed()}
	_ = c.Conn.SetDeadline(time.Time{}) // if it has ended, the next read reports it
	s.all.add(again)
	s.all.remove(c)
	if !s.parking.reserve(again) {
		s.all.Counts.Told.Add(1)
		_ = again.end() // the drain is over
		return
	}
	if s.successor() != nil { // again, now that it is counted: another successor may have come
		again.handOverParked()
	}
	s.parking.park(again)
}
