package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/norestart/norestart/internal/ipc"
)

// A worker whose state goes to a successor takes no work meanwhile:
//
//	open ──Hold──► holding ──nothing under way──► held ──Release──► gone
//	  ▲                │                            │                 │
//	  └────────────────┴───────── Resume ───────────┴─────────────────┘
//
// New connections wait in the socket, which the successor has, too. Those of
// plain HTTP/1 are taken from their server between two requests and wait for the
// successor, or for Resume. Requests on others, such as HTTP/2, wait at the gate.

// gate counts requests whose connections cannot be taken from their server, and
// questions to the worker; mu is a leaf.
type gate struct {
	mu     sync.Mutex
	inside int
	closed chan struct{} // closed when the gate opens again; nil: it is open
	gone   bool          // another worker has the state
}

// ErrGone is what a request is answered that came for a state which another worker
// has by now.
var ErrGone = errors.New("the successor of this worker has its state by now: ask again")

// Enter waits until work may begin, and counts it until leave is called.
func (all *Connections) Enter(ctx context.Context) (leave func(), err error) {
	for {
		wait, err := all.gate.enter()
		switch {
		case err != nil:
			return nil, err
		case wait == nil:
			return all.leaveGate, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (g *gate) enter() (wait <-chan struct{}, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.gone:
		return nil, ErrGone
	case g.closed != nil:
		return g.closed, nil
	}
	g.inside++
	return nil, nil
}

func (all *Connections) leaveGate() {
	all.gate.mu.Lock()
	all.gate.inside--
	all.gate.mu.Unlock()
	all.tellHolder()
}

// set closes the gate, or opens it for those that wait.
func (g *gate) set(closed, gone bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case closed && g.closed == nil:
		g.closed = make(chan struct{})
	case !closed && g.closed != nil:
		close(g.closed)
		g.closed = nil
	}
	g.gone = gone
}

// Hold takes no more work and returns when none is under way, or ctx ends: then
// the error tells what is. The successor at the other end of c gets connections
// only after [Connections.Release]; until then c is the caller's, too.
func (all *Connections) Hold(ctx context.Context, c *ipc.Conn) error {
	s := newSuccessor(c)
	s.held = true
	all.heldFor.Store(s)
	all.holding.Store(true)
	all.gate.set(true, false)
	for _, l := range all.listeners {
		l.pause()
	}
	all.succeed(s)
	for {
		n := all.underWay()
		if n == 0 {
			return nil
		}
		select {
		case <-all.changed:
		case <-ctx.Done():
			return fmt.Errorf("%d requests are still under way: %w", n, context.Cause(ctx))
		}
	}
}

// Release gives the successor what waits here: it has the state, and serves.
func (all *Connections) Release() {
	all.gate.set(false, true)
	if s := all.heldFor.Load(); s != nil {
		s.release()
	} else {
		all.gate.set(false, false) // the successor has ended since, and work goes on here
	}
}

// Resume takes work again; the conversation with the successor ends.
func (all *Connections) Resume() {
	all.holding.Store(false)
	if s := all.heldFor.Swap(nil); s != nil {
		s.end()
	}
	for _, l := range all.listeners {
		l.resume()
	}
	all.gate.set(false, false)
}

// underWay counts what is not taken from its server, and what is inside the gate.
func (all *Connections) underWay() int {
	all.gate.mu.Lock()
	n := all.gate.inside
	all.gate.mu.Unlock()
	for _, l := range all.listeners {
		if s := l.server.Load(); s != nil {
			n += s.untaken()
		}
	}
	return n
}

// untaken counts connections of plain HTTP/1 that the server still has.
func (s *Server) untaken() int {
	s.mu.Lock()
	defer s.mu.Unlock() // also while parking is asked: a connection may be between the two
	n := s.parking.len()
	for nc := range s.states {
		if c, ok := nc.(*conn); ok && c.followed.Load() && !c.trace.http2.Load() {
			n++
		}
	}
	return n
}

func (all *Connections) tellHolder() {
	if !all.holding.Load() {
		return
	}
	select {
	case all.changed <- struct{}{}:
	default:
	}
}

// admitted lets a request pass: one of a connection that can be taken from its
// server is part of what is waited for, any other goes through the gate.
func (s *Server) admitted(r *http.Request) (leave func(), err error) {
	nc, _ := r.Context().Value(connKey{}).(net.Conn)
	c := inner(nc)
	if c != nil && c.followed.Load() && r.ProtoMajor == 1 && !s.all.isGone() {
		return func() {}, nil
	}
	leave, err = s.all.Enter(r.Context())
	if err == nil && c != nil && r.ProtoMajor == 1 {
		c.leave.Store(&leave)
		return c.leaveGate, nil
	}
	return leave, err
}

func (all *Connections) isGone() bool {
	all.gate.mu.Lock()
	defer all.gate.mu.Unlock()
	return all.gate.gone
}

// leaveGate is for the end of a request, and for a handler that takes its
// connection over: that is no longer waited for.
func (c *conn) leaveGate() {
	if leave := c.leave.Swap(nil); leave != nil {
		(*leave)()
	}
}
