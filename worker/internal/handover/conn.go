package handover

import (
	"bytes"
	"crypto/tls"
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

// conn is a connection that its listener knows until it is closed. A connection
// of plain HTTP/1 can be taken from its http.Server between two requests,
// together with the bytes of the next request that were read.
type conn struct {
	net.Conn
	listener *Listener
	once     sync.Once
	followed atomic.Bool // it can be handed over; else nothing below counts
	hijacked atomic.Bool
	leave    atomic.Pointer[func()] // of its request at the gate
	frames   frames                 // of HTTP/2

	mu         sync.Mutex // guards what follows; no other is taken under it
	server     *Server
	trace      trace
	tls        *tls.Conn // around HTTP/2; nil: no TLS
	replay     []byte    // came with the connection: read before the socket
	deadline   time.Time
	reading    bool
	wanted     atomic.Bool // hand it over as soon as no request is under way; written with mu
	handedOver atomic.Bool // the server was told that nothing more comes, and closes; written with mu
}

func (c *conn) follow(s *Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server = s
	c.trace.h2c = s.http.Protocols != nil && s.http.Protocols.UnencryptedHTTP2()
	c.trace.begin()
	c.followed.Store(true)
}

// became notes a state that the server reports.
func (c *conn) became(state http.ConnState) {
	if state == http.StateHijacked {
		c.hijacked.Store(true)
		c.leaveGate()
	}
	if !c.followed.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.handedOver.Load():
	case state == http.StateActive:
		c.trace.to(busy)
	case state == http.StateIdle:
		c.trace.to(answered)
	case state == http.StateHijacked:
		c.trace.stop()
		c.followed.Store(false)
	}
}

// handOver takes the connection from its server as soon as no request is under
// way, at once if it waits for one.
func (c *conn) handOver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted.Store(true)
	if c.reading && c.trace.movable() {
		_ = c.Conn.SetReadDeadline(longAgo) // if it is closed, nothing is left to move
	}
}

// handOverParked is for a parked connection, which the server may have by now:
// then it waits for its request.
func (c *conn) handOverParked() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted.Store(true)
	if !c.followed.Load() {
		_ = c.Conn.SetReadDeadline(longAgo) // as above
	}
}

// longAgo ends a read that waits.
var longAgo = time.Unix(1, 0)

// errHandedOver is what the server reads from a connection that is taken from it,
// and then closes it. Within a line it answers "400 Bad Request" first, because
// bufio's ReadLine hides the error from it; see [conn.Write].
var errHandedOver = os.ErrDeadlineExceeded

func (c *conn) Read(p []byte) (int, error) {
	switch {
	case !c.followed.Load():
		return c.read(p)
	case c.trace.http2.Load():
		return c.frames.read(c.read, p)
	case !c.mayRead(len(p)):
		return 0, errHandedOver
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

// mayRead reports whether the server may read.
func (c *conn) mayRead(space int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trace.reads(space)
	if c.wanted.Load() && c.trace.movable() {
		c.handedOver.Store(true)
	}
	c.reading = !c.handedOver.Load()
	return c.reading
}

// wasRead decides whether the server sees what was read.
func (c *conn) wasRead(p []byte, n int, err error) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = false
	c.trace.got(p[:n])
	if !c.wanted.Load() {
		return n, err
	}
	if c.trace.movable() && (err == nil || errors.Is(err, os.ErrDeadlineExceeded)) {
		c.handedOver.Store(true)
		return 0, errHandedOver
	}
	if !c.trace.movable() { // it came in the same moment
		_ = c.Conn.SetReadDeadline(c.deadline) // as above
	}
	return n, err
}

// unparsed is what the server has not parsed, without the empty lines before a
// request, which the server skips, too (RFC 9112 §2.2).
func (c *conn) unparsed() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := append(bytes.Clone(c.trace.unparsed), c.replay...)
	return bytes.TrimLeft(all, "\r\n")
}

// Write drops what the server says to a connection that was taken from it.
func (c *conn) Write(p []byte) (int, error) {
	switch {
	case !c.followed.Load():
		return c.Conn.Write(p)
	case c.handedOver.Load():
		return len(p), nil
	case c.trace.http2.Load():
		return c.frames.write(c.Conn, p)
	}
	return c.Conn.Write(p)
}

// SetReadDeadline also tells what the server is doing.
func (c *conn) SetReadDeadline(t time.Time) error {
	if c.followed.Load() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.trace.deadline()
		c.deadline = t
	}
	return c.Conn.SetReadDeadline(t)
}

// Close ends the connection here. One that was taken from its server goes to
// the successor.
func (c *conn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		if err = nil; c.handedOver.Load() {
			c.server.give(c)
			return
		}
		err = c.end()
	})
	return err
}

// end closes the connection itself.
func (c *conn) end() error {
	c.listener.all.remove(c)
	return c.Conn.Close()
}

// inner finds the connection of our listener that the server reports, perhaps
// within TLS; nil if it is of another listener.
func inner(nc net.Conn) *conn {
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

// ReadFrom keeps sendfile(2) and splice(2), which net/http uses if the connection
// has it.
func (c *conn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

// CloseWrite shuts the writing side, as net/http does before it closes a
// connection whose peer may still send.
func (c *conn) CloseWrite() error {
	if c.handedOver.Load() {
		return nil
	}
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return nil
}
