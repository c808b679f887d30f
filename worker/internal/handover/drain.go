package handover

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// firstRequest is how long a connection that was just accepted has for its first
// request, even without a lame duck: Shutdown would drop it.
const firstRequest = time.Second

// BeginDrain tells clients of HTTP/2 to go and marks answers as the last of
// their connections. Accepting may go on.
func (s *Server) BeginDrain() {
	s.draining.Store(true)
	s.goAway(false)
}

// Drain ends the server without losing a request: idle connections are handed
// over at once, busy ones when they have been answered; all others are told to
// go. The listener has to be closed and its Serve to have returned, so that every
// accepted connection is known.
func (s *Server) Drain() error {
	s.draining.Store(true)
	s.handOver()
	s.goAway(false)
	s.grace()
	s.graceOver.Store(true)
	for s.successor() != nil || s.returned.Load() {
		s.wait(s.all.cut, http.StateActive) // busy ones are handed over when they have been answered
		s.handOverRest()
		if !s.returned.Load() {
			break
		}
		s.grace()
	}
	// Requests from before the drain have no "Connection: close" yet, and get it
	// now if their headers have not been written.
	s.http.SetKeepAlivesEnabled(false)
	s.wait(s.all.cut, http.StateActive)
	err := s.shutdown()
	s.wait(s.all.cut, http.StateNew, http.StateActive, http.StateIdle) // closed ones still have to report it
	s.all.drainHijacked()
	return err
}

// handOverRest waits for connections that were answered a moment ago: they look
// idle, but nothing told their clients to go. One that has sent a part of its
// next request waits for the rest of it.
func (s *Server) handOverRest() {
	ctx, done := context.WithTimeout(s.all.cut, max(s.lameDuck(), firstRequest))
	defer done()
	if s.successor() != nil {
		s.wait(ctx, http.StateActive, http.StateIdle)
	}
}

func (s *Server) lameDuck() time.Duration { return time.Duration(s.all.lameDuck.Load()) }

// grace gives waiting connections the lame duck for a last request.
func (s *Server) grace() {
	s.returned.Store(false)
	fresh, done := context.WithTimeout(s.all.cut, firstRequest)
	defer done()
	most, over := context.WithTimeout(s.all.cut, s.lameDuck()*3/4)
	defer over()
	grace, cancel := context.WithTimeout(s.all.cut, s.lameDuck())
	defer cancel()
	s.wait(most, http.StateNew, http.StateActive, http.StateIdle)
	s.goAway(true)
	s.wait(grace, http.StateNew, http.StateActive, http.StateIdle)
	s.wait(fresh, http.StateNew)
}

// shutdown closes idle connections, and the rest at the end of the time.
func (s *Server) shutdown() error {
	if s.listener != nil {
		s.stopParking()
		s.all.Counts.Told.Add(int64(s.parking.ended))
	}
	err := s.http.Shutdown(s.all.cut)
	if !errors.Is(err, context.Canceled) {
		return err
	}
	s.forced.Store(true)
	s.all.Counts.Cut.Add(int64(s.count(http.StateActive, http.StateNew)))
	return s.http.Close()
}
