package worker

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// conn is a connection that its listener knows of until it is closed. One that
// an http.Server reads plain HTTP/1 from can leave that server between two
// requests, with what has been read of the next one.
type conn struct {
	net.Conn
	from     *listener
	once     sync.Once
	followed atomic.Bool // it may leave; without it nothing below counts
	hijacked atomic.Bool
	frames   frames // of HTTP/2

	mu       sync.Mutex // it guards what follows; no other is taken under it
	server   *drainer
	trace    trace
	replay   []byte // to be read before what the socket has: it came with the connection
	deadline time.Time
	reading  bool
	leaving  bool // it shall leave
	left     bool // the server has been told that nothing more comes, and closes
}

// follow begins to follow the connection for the server that accepted it.
func (c *conn) follow(d *drainer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server = d
	c.trace.begin()
	c.followed.Store(true)
}

// became takes in what the server reports of it.
func (c *conn) became(s http.ConnState) {
	if s == http.StateHijacked {
		c.hijacked.Store(true)
	}
	if !c.followed.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.left:
	case s == http.StateActive:
		c.trace.active()
	case s == http.StateIdle:
		c.trace.idle()
	case s == http.StateHijacked:
		c.trace.stop()
		c.followed.Store(false)
	}
}

// leave asks the connection to leave its server as soon as no request is under
// way: at once, if it waits for one.
func (c *conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
	if c.reading && c.trace.movable() {
		_ = c.Conn.SetReadDeadline(longAgo) // it has been closed: then nothing is left to move
	}
}

// longAgo ends a read that waits.
var longAgo = time.Unix(1, 0)

// errLeaves is what the server reads of a connection that leaves it: it then
// closes it. Within a line it answers "400 Bad Request" first, for bufio's
// ReadLine hides the error from it, see [conn.Write].
var errLeaves = os.ErrDeadlineExceeded

func (c *conn) Read(p []byte) (int, error) {
	if !c.followed.Load() {
		return c.read(p)
	}
	if !c.mayRead(len(p)) {
		return 0, errLeaves
	}
	n, err := c.read(p)
	return c.wasRead(p, n, err)
}

func (c *conn) read(p []byte) (int, error) {
	if len(c.replay) == 0 { // only the server reads, and it has not begun when this is set
		return c.Conn.Read(p)
	}
	n := copy(p, c.replay)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replay = c.replay[n:]
	return n, nil
}

// mayRead tells whether the server gets to read.
func (c *conn) mayRead(space int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trace.reads(space)
	if c.left = c.left || c.leaving && c.trace.movable(); c.left {
		return false
	}
	c.reading = true
	return true
}

// wasRead decides whether the server sees what has come.
func (c *conn) wasRead(p []byte, n int, err error) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = false
	c.trace.got(p[:n])
	if !c.leaving {
		return n, err
	}
	if c.trace.movable() && (err == nil || errors.Is(err, os.ErrDeadlineExceeded)) {
		c.left = true
		return 0, errLeaves
	}
	if !c.trace.movable() { // it came in the same moment
		_ = c.Conn.SetReadDeadline(c.deadline) // as above
	}
	return n, err
}

// hasLeft tells whether the connection goes to the heir instead of its end.
func (c *conn) hasLeft() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left
}

// rest is what the server has not parsed. Empty lines before a request are
// passed over, as the server itself does between two (RFC 9112 §2.2).
func (c *conn) rest() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := append(bytes.Clone(c.trace.unparsed), c.replay...)
	return bytes.TrimLeft(all, "\r\n")
}

// Write passes over what the server says to a connection that has left it.
func (c *conn) Write(p []byte) (int, error) {
	switch {
	case !c.followed.Load():
		return c.Conn.Write(p)
	case c.hasLeft():
		return len(p), nil
	case c.speaksHTTP2():
		return c.frames.write(c.Conn, p)
	}
	return c.Conn.Write(p)
}

// SetReadDeadline is how the server says where it is.
func (c *conn) SetReadDeadline(t time.Time) error {
	if c.followed.Load() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.trace.deadline()
		c.deadline = t
	}
	return c.Conn.SetReadDeadline(t)
}

// Close ends the connection here. One that has left its server goes to the
// heir.
func (c *conn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		c.mu.Lock()
		left := c.left
		c.mu.Unlock()
		if err = nil; left {
			c.server.bequeath(c)
			return
		}
		err = c.end()
	})
	return err
}

// end closes the connection itself.
func (c *conn) end() error {
	c.from.forget(c)
	return c.Conn.Close()
}

// own finds the connection of one of our listeners in what a server reports:
// TLS is around it.
func own(nc net.Conn) *conn {
	for {
		switch c := nc.(type) {
		case *conn:
			return c
		case interface{ NetConn() net.Conn }:
			nc = c.NetConn()
		default:
			return nil
		}
	}
}

// SyscallConn gives the socket itself, for options such as TCP_QUICKACK, which
// the admin port sets.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	inner, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return inner.SyscallConn()
}

// ReadFrom keeps sendfile(2) and splice(2), which net/http uses when the
// connection offers it.
func (c *conn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

// CloseWrite shuts the writing side, as net/http does before it closes a
// connection whose peer may still send.
func (c *conn) CloseWrite() error {
	if c.hasLeft() {
		return nil
	}
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return nil
}
