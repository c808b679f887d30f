package worker

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
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
	name string

	mu     sync.Mutex // a leaf
	conns  map[*conn]struct{}
	parted int      // hijacked ones that have ended
	server *drainer // who takes connections of other processes; nil: nobody
}

func newListener(name string, ln net.Listener) *listener {
	return &listener{Listener: ln, name: name, conns: make(map[*conn]struct{})}
}

func (l *listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.know(&conn{Conn: nc, from: l}), nil
}

func (l *listener) know(c *conn) *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = struct{}{}
	return c
}

// serve makes d who takes connections of other processes; nil ends that.
func (l *listener) serve(d *drainer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.server = d
}

func (l *listener) servedBy() *drainer {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.server
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

// hijacked counts those that handlers have taken over.
func (w *Worker) hijacked() (n int) {
	for _, l := range w.listeners {
		n += l.hijacked()
	}
	return n
}

// parted is how many of them have ended since it was asked last.
func (w *Worker) parted() (n int) {
	for _, l := range w.listeners {
		l.mu.Lock()
		n += l.parted
		l.parted = 0
		l.mu.Unlock()
	}
	return n
}

func (l *listener) hijacked() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		if c.hijacked.Load() {
			n++
		}
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
	if _, known := l.conns[c]; known && c.hijacked.Load() {
		l.parted++
	}
	delete(l.conns, c)
}
