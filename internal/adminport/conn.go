package adminport

import (
	"bytes"
	"context"
	"errors"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

var (
	errHelloTimeout = errors.New("nothing said in time")
	errLoginTimeout = errors.New("no login in time")
	errClosed       = errors.New("closed without a login")
)

// conn is one network connection, from accept to its end. It is the net.Conn
// that ssh and TLS read from; its RemoteAddr stays a *net.TCPAddr.
type conn struct {
	net.Conn
	srv       *Server
	admission *admission

	first [1]byte // what sniff read
	kept  int     // 1 while it is still to be read
	proto protocol

	// ctx ends with the connection, and its cause is why.
	ctx    context.Context
	cancel context.CancelCauseFunc

	beforeLogin atomic.Bool
	helloDone   atomic.Bool
	refused     atomic.Bool // it is on the audit log
	blamed      atomic.Bool // its source has a penalty for it
	hello       *time.Timer
	login       *time.Timer

	keep keepalive

	mu       sync.Mutex // protects what follows
	closed   bool
	sessions int
	closing  error // no further session; the connection ends with the last one
	idle     *time.Timer
	work     sync.WaitGroup // goroutines that use the connection
}

// newConn starts the timers of a connection. They are absolute: input does not
// extend them.
func (s *Server) newConn(nc net.Conn, admission *admission) *conn {
	c := &conn{Conn: nc, srv: s, admission: admission}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.beforeLogin.Store(true)
	admission.evictBy(c.giveWay)
	c.hello = time.AfterFunc(s.cfg.HelloTimeout, func() { c.expire(errHelloTimeout) })
	c.login = time.AfterFunc(s.cfg.LoginTimeout, func() { c.expire(errLoginTimeout) })
	return c
}

func (c *conn) expire(why error) {
	if !c.beforeLogin.Load() {
		return
	}
	if c.admission.hadTurn() { // one that waits in line is not to blame
		c.blamed.Store(true)
		c.admission.penalize(penaltyGrace)
	}
	c.end(why)
}

// blame penalizes the source of a connection without a login, once, as OpenSSH
// counts.
func (c *conn) blame(penalty time.Duration) {
	if !c.blamed.Swap(true) {
		c.admission.penalize(penalty)
	}
}

// end closes the connection. Only the first reason counts.
func (c *conn) end(why error) {
	c.cancel(why)
	_ = c.Conn.Close() // nothing is left to do about it
}

func (c *conn) Close() error {
	c.cancel(errClosed)
	return c.Conn.Close()
}

// Read returns the byte that sniff took first. Before login it asks for quick
// acknowledgements and looks for the end of the client's version line.
func (c *conn) Read(p []byte) (int, error) {
	if c.kept > 0 && len(p) > 0 {
		c.kept = 0
		p[0] = c.first[0]
		return 1, nil
	}
	n, err := c.Conn.Read(p)
	if c.beforeLogin.Load() {
		quickAck(c.Conn)
		if !c.helloDone.Load() && bytes.IndexByte(p[:n], '\n') >= 0 {
			c.said()
		}
	}
	return n, err
}

func (c *conn) said() {
	c.helloDone.Store(true)
	c.hello.Stop()
}

// SetDeadline does nothing: gliderlabs clears the deadline at each read and
// write, and our limits are timers.
func (c *conn) SetDeadline(time.Time) error { return nil }

// giveWay ends the connection to make room for another one. After login its
// sessions read why.
func (c *conn) giveWay(why error) {
	if c.beforeLogin.Load() {
		c.end(why)
		return
	}
	c.last(why)
	sessions := slices.DeleteFunc(c.srv.sessionList(), func(sess *session) bool { return sess.conn != c || sess.over() })
	time.AfterFunc(farewell, func() { c.end(why) })
	c.start(func() { // the audit log may take its time
		for _, sess := range sessions {
			sess.dismiss(why)
		}
	})
}

// takePlace finds room for a user who has just proved an identity.
func (c *conn) takePlace(name string) error {
	fresh, err := c.srv.gate.enter(c.admission, name, addrOf(c))
	if fresh {
		c.start(c.srv.gate.saveKnown)
	}
	return err
}

func (c *conn) loggedIn() {
	c.beforeLogin.Store(false)
	c.said()
	c.login.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchIdle()
}

// enter registers a goroutine that uses the connection. If it reports false, the
// connection has ended and the goroutine must not begin; if true, the goroutine
// calls leave.
func (c *conn) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.work.Add(1)
	return true
}

func (c *conn) leave() { c.work.Done() }

// start runs fn on a goroutine that the connection waits for.
func (c *conn) start(fn func()) bool {
	if !c.enter() {
		return false
	}
	go func() {
		defer c.leave()
		fn()
	}()
	return true
}

func (c *conn) finish() {
	c.mu.Lock()
	c.closed = true
	if c.idle != nil {
		c.idle.Stop()
	}
	c.mu.Unlock()
	c.hello.Stop()
	c.login.Stop()
	c.keep.stop()
	c.end(errClosed)
	c.work.Wait()
}

// openSession counts a channel, up to limit.
func (c *conn) openSession(limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.closing != nil || c.sessions >= limit {
		return false
	}
	c.sessions++
	if c.idle != nil {
		c.idle.Stop()
	}
	return true
}

// closeSession counts one less; a connection without a session is closed after a
// while.
func (c *conn) closeSession() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions--
	if c.closing != nil && c.sessions == 0 {
		why := c.closing
		time.AfterFunc(farewell, func() { c.end(why) }) // its client reads why
		return
	}
	c.watchIdle()
}

// last lets no further session begin, and the connection end with the last one.
func (c *conn) last(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = why
}

// watchIdle starts the timer of a connection without a session. c.mu is held.
func (c *conn) watchIdle() {
	if c.closed || c.sessions > 0 {
		return
	}
	if c.idle == nil {
		c.idle = time.AfterFunc(c.srv.cfg.NoChannelTimeout, c.endIdle)
		return
	}
	c.idle.Reset(c.srv.cfg.NoChannelTimeout)
}

func (c *conn) endIdle() {
	c.mu.Lock()
	idle := c.sessions == 0
	c.mu.Unlock()
	if idle {
		c.end(errors.New("no session"))
	}
}

func (c *conn) unused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessions == 0
}

// survive is deferred where foreign code runs for one connection: a panic there
// ends that connection only.
func (c *conn) survive(where string) {
	if p := recover(); p != nil {
		c.srv.host.Log("%s: panic: %v\n%s", where, p, debug.Stack())
		c.end(errClosed)
	}
}
