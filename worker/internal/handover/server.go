package handover

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Server is an http.Server whose connections are handed over, or told to go, when
// the worker drains.
//
// Invariant: while a drain waits, a connection of the server is counted in at
// least one place: by its state, as parked, or on its way to the successor.
type Server struct {
	all       *Connections
	http      *http.Server
	listener  *Listener // whose connections can be handed over; nil: none of them
	parking   *parking
	served    chan error
	draining  atomic.Bool
	graceOver atomic.Bool   // clients of HTTP/2 had their time to go: each answer is the last
	forced    atomic.Bool   // connections that close now count as cut
	returned  atomic.Bool   // the successor has refused some since the last grace: they may have had an answer without "Connection: close"
	changed   chan struct{} // size 1: a state has changed

	mu       sync.Mutex // locked before that of parking
	states   map[net.Conn]http.ConnState
	counts   map[http.ConnState]int
	onTheWay int // to the successor
}

// NewServer takes srv over: its Handler, ConnState, ConnContext and BaseContext
// are wrapped.
func (all *Connections) NewServer(srv *http.Server, ln net.Listener) *Server {
	s := &Server{
		all: all, http: srv, changed: make(chan struct{}, 1),
		states: make(map[net.Conn]http.ConnState), counts: make(map[http.ConnState]int),
	}
	if own, ok := ln.(*Listener); ok && (srv.Protocols == nil || srv.Protocols.HTTP1()) {
		s.listener = own
		s.parking = newParking(own.Addr(), idleTimeout(srv), s.give, s.notify)
	}
	s.wrap()
	return s
}

// idleTimeout follows the server's own rule (net/http, Server.IdleTimeout).
func idleTimeout(srv *http.Server) time.Duration {
	if srv.IdleTimeout != 0 {
		return srv.IdleTimeout
	}
	return srv.ReadTimeout
}

// Start serves connections of ln and from predecessors, until [Server.Stop].
// served receives the end of accepting.
func (s *Server) Start(ln net.Listener) (served <-chan error) {
	over := make(chan error, 1)
	s.all.start(func() { over <- s.http.Serve(ln) })
	if s.listener != nil {
		s.served = make(chan error, 1)
		s.all.start(func() { s.served <- s.http.Serve(s.parking) })
		s.listener.server.Store(s)
	}
	return over
}

// Stop refuses what predecessors hand over.
func (s *Server) Stop() {
	if s.listener != nil {
		s.stopParking()
		<-s.served
	}
}

func (s *Server) stopParking() {
	s.listener.server.Store(nil)
	_ = s.parking.Close() // always nil
}

func (s *Server) wrap() {
	handler := s.http.Handler
	if handler == nil {
		handler = http.DefaultServeMux
	}
	s.http.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		s.all.Counts.Requests.Add(1)
		leave, err := s.admitted(r)
		if err != nil {
			rw.Header().Set("Connection", "close")
			http.Error(rw, err.Error(), http.StatusServiceUnavailable)
			return
		}
		defer leave()
		if s.draining.Load() && !s.leaves(r) {
			rw.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(rw, r)
	})
	changed := s.http.ConnState
	s.http.ConnState = func(nc net.Conn, state http.ConnState) {
		if within, ok := nc.(*secured); ok {
			nc = within.Conn
		}
		s.note(nc, state)
		if changed != nil {
			changed(nc, state)
		}
	}
	value := s.http.ConnContext
	s.http.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
		if value != nil {
			ctx = value(ctx, nc)
		}
		return context.WithValue(ctx, connKey{}, nc)
	}
	s.wrapSecured()
}

type connKey struct{}

// leaves reports whether the connection of a request will leave this process by
// itself after the answer: it is handed over, or its client was told and still
// has time to go.
func (s *Server) leaves(r *http.Request) bool {
	nc, _ := r.Context().Value(connKey{}).(net.Conn)
	c := inner(nc)
	if r.ProtoMajor == 1 {
		return c != nil && c.followed.Load() && s.maySucceed()
	}
	if c != nil {
		if w := c.tell(); w != nil { // it came after the others were told
			c.sendGoAway(w)
			return true
		}
	}
	return !s.graceOver.Load()
}

// note takes what the server reports of a connection.
func (s *Server) note(nc net.Conn, state http.ConnState) {
	c, direct := nc.(*conn)
	s.passOn(nc, state)
	s.mu.Lock()
	was, known := s.states[nc]
	if known {
		s.counts[was]--
	}
	if known && state == http.StateClosed && s.draining.Load() && !s.forced.Load() && !(direct && c.handedOver.Load()) {
		s.countEnded(was) // before anybody can see that it has gone
	}
	if state == http.StateClosed || state == http.StateHijacked {
		delete(s.states, nc)
	} else {
		s.states[nc] = state
		s.counts[state]++
	}
	s.mu.Unlock()
	if direct && state == http.StateNew && s.listener != nil {
		s.parking.remove(c)
	}
	if direct && state == http.StateNew && s.all.holding.Load() && s.successor() != nil { // it came as the listener was paused
		c.handOver()
	}
	s.notify()
}

// passOn tells a connection its new state.
func (s *Server) passOn(nc net.Conn, state http.ConnState) {
	c, direct := nc.(*conn)
	switch {
	case direct && state == http.StateNew && s.listener == c.listener && s.listener != nil:
		c.follow(s)
	case direct:
		c.became(state)
	case state == http.StateHijacked:
		if c = inner(nc); c != nil {
			c.hijacked.Store(true)
			c.leaveGate()
		}
	}
}

func (s *Server) countEnded(was http.ConnState) {
	if was == http.StateActive {
		s.all.Counts.Finished.Add(1)
	} else {
		s.all.Counts.Told.Add(1)
	}
}

func (s *Server) notify() {
	s.all.tellHolder()
	if !s.draining.Load() {
		return
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// count counts the connections in one of the states. One on its way to the
// successor counts as active, a parked one as idle.
func (s *Server) count(states ...http.ConnState) int {
	s.mu.Lock()
	defer s.mu.Unlock() // also while parking is asked: a connection may be between the two
	n := 0
	for _, state := range states {
		n += s.counts[state]
		switch {
		case state == http.StateActive:
			n += s.onTheWay
		case state == http.StateIdle && s.listener != nil:
			n += s.parking.len()
		}
	}
	return n
}

// wait returns when no connection is in one of the states, or ctx ends.
func (s *Server) wait(ctx context.Context, states ...http.ConnState) {
	for s.count(states...) > 0 {
		select {
		case <-s.changed:
		case <-ctx.Done():
			return
		}
	}
}
