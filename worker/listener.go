package worker

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Listener is the listener of that name: by default the pool's name. It is
// closed by the worker itself when it drains. The socket behind it belongs to
// the primary and goes on listening.
func (w *Worker) Listener(name string) (net.Listener, error) {
	if ln := w.listeners[name]; ln != nil {
		return ln, nil
	}
	var names []string
	for n := range w.listeners {
		names = append(names, n)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no listener %q: pool %s has none", name, w.boot.Pool)
	}
	slices.Sort(names)
	return nil, fmt.Errorf("no listener %q: pool %s has %s", name, w.boot.Pool, strings.Join(names, ", "))
}

// listener knows its open connections, hijacked ones too.
type listener struct {
	net.Listener

	mu    sync.Mutex // a leaf
	conns map[*conn]struct{}
}

func newListener(ln net.Listener) *listener {
	return &listener{Listener: ln, conns: make(map[*conn]struct{})}
}

func (l *listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, from: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = struct{}{}
	return c, nil
}

// open counts the connections that have not been closed.
func (l *listener) open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// open counts the connections of all listeners.
func (w *Worker) open() (n int) {
	for _, l := range w.listeners {
		n += l.open()
	}
	return n
}

// closeAll closes the connections of all listeners and tells how many there
// were.
func (w *Worker) closeAll() (n int) {
	for _, l := range w.listeners {
		n += l.closeAll()
	}
	return n
}

// closeAll closes every connection and tells how many there were.
func (l *listener) closeAll() int {
	l.mu.Lock()
	all := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		all = append(all, c)
	}
	l.mu.Unlock()
	for _, c := range all {
		_ = c.Close() // nothing to be done about it
	}
	return len(all)
}

func (l *listener) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// conn is a connection that its listener knows of until it is closed.
type conn struct {
	net.Conn
	from *listener
	once sync.Once
}

func (c *conn) Close() error {
	c.once.Do(func() { c.from.forget(c) })
	return c.Conn.Close()
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
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return nil
}
