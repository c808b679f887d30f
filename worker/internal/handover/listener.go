package handover

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

type Listener struct {
	net.Listener
	name   string
	all    *Connections
	server atomic.Pointer[Server] // serves connections that are handed over; nil: they are refused

	mu      sync.Mutex    // locked before that of the connections
	fetched []*conn       // accepted from other sockets, for the next calls of Accept
	over    bool          // Accept returns no more
	paused  chan struct{} // closed when it accepts again; nil: it accepts
}

func (l *Listener) Accept() (net.Conn, error) {
	for {
		if c := l.next(false); c != nil {
			return c, nil
		}
		if wait := l.pausing(); wait != nil {
			<-wait
			continue
		}
		nc, err := l.Listener.Accept()
		switch {
		case err == nil:
			return l.all.add(&conn{Conn: nc, listener: l}), nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			l.setDeadline(time.Time{}) // something was fetched
		case errors.Is(err, net.ErrClosed):
			if c := l.next(true); c != nil {
				return c, nil
			}
			return nil, err
		default:
			return nil, err
		}
	}
}

// next is the first fetched connection; nil: there is none, and after the last
// call there will be none.
func (l *Listener) next(last bool) *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.fetched) == 0 {
		l.over = l.over || last
		return nil
	}
	c := l.fetched[0]
	l.fetched = l.fetched[1:]
	return c
}

// Fetch accepts a connection from a socket of another slot, for Accept to return,
// and reports whether there may be more.
func (l *Listener) Fetch(socket int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || l.paused != nil {
		return false
	}
	fd, _, err := unix.Accept4(socket, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		return errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNABORTED)
	}
	more := roomAbove(fd)
	nc, err := fileConn(fd)
	if err != nil {
		return false // no descriptors left
	}
	l.fetched = append(l.fetched, l.all.add(&conn{Conn: nc, listener: l}))
	l.setDeadline(longAgo)
	return more
}

// pause leaves new connections in the socket, until resume or Close.
func (l *Listener) pause() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over && l.paused == nil {
		l.paused = make(chan struct{})
		l.setDeadline(longAgo)
	}
}

func (l *Listener) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused != nil {
		close(l.paused)
		l.paused = nil
	}
}

func (l *Listener) pausing() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.paused
}

// Close ends accepting here; the socket itself belongs to the primary.
func (l *Listener) Close() error {
	err := l.Listener.Close()
	l.resume()
	return err
}

// setDeadline ends a waiting call of Accept, or lets the next one wait.
func (l *Listener) setDeadline(t time.Time) {
	if d, ok := l.Listener.(interface{ SetDeadline(time.Time) error }); ok {
		_ = d.SetDeadline(t) // it has been closed: Accept sees that
	}
}
