package worker

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lot is where connections that came from another process wait until they have
// something to say: then an http.Server accepts them as new ones, and all its
// times begin. It is a net.Listener.
type lot struct {
	addr net.Addr
	idle time.Duration // how long one may wait; 0: for ever
	left func(*conn)   // takes one that shall leave; it is still counted here
	news func()        // their number has changed

	ready chan *conn
	over  chan struct{}
	wg    sync.WaitGroup

	mu     sync.Mutex // a leaf
	parked map[*conn]struct{}
	closed bool
	ended  int // connections that Close has closed
}

func newLot(addr net.Addr, idle time.Duration, left func(*conn), news func()) *lot {
	return &lot{
		addr: addr, idle: idle, left: left, news: news,
		ready: make(chan *conn), over: make(chan struct{}), parked: make(map[*conn]struct{}),
	}
}

// Accept returns the next connection that has something to say. It counts
// until the server has reported it, see [lot.forget].
func (l *lot) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

// Addr is that of the listener which accepted them first.
func (l *lot) Addr() net.Addr { return l.addr }

// Close closes those that wait, and waits until it is done.
func (l *lot) Close() error {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	for c := range l.parked {
		_ = c.Conn.SetReadDeadline(longAgo) // it has been closed already
	}
	l.mu.Unlock()
	if first {
		close(l.over)
	}
	l.wg.Wait()
	return nil
}

// closedHere is how many connections Close has closed: those that were asked to
// leave have left.
func (l *lot) closedHere() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// reserve makes room for a connection, which has to be parked, or cancelled,
// soon; false when nobody accepts it any more.
func (l *lot) reserve(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.parked[c] = struct{}{}
		l.wg.Add(1)
	}
	return !l.closed
}

// cancel gives back what was reserved.
func (l *lot) cancel(c *conn) {
	l.forget(c)
	l.wg.Done()
}

// forget gives up the place of a connection.
func (l *lot) forget(c *conn) {
	l.mu.Lock()
	_, was := l.parked[c]
	delete(l.parked, c)
	l.mu.Unlock()
	if was {
		l.news()
	}
}

// len counts those that have a place.
func (l *lot) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.parked)
}

// leave asks all to leave.
func (l *lot) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.parked {
		c.wake()
	}
}

// park lets a connection wait in the place that was reserved for it.
func (l *lot) park(c *conn) {
	go func() {
		defer l.wg.Done()
		l.wait(c)
	}()
}

func (l *lot) wait(c *conn) {
	var err error
	if len(c.replay) == 0 {
		err = l.untilReadable(c)
	}
	switch {
	case c.leaves():
		l.left(c)
		l.forget(c)
		return
	case err == nil:
		select {
		case l.ready <- c:
			return
		case <-l.over:
		}
	}
	l.mu.Lock()
	if l.closed {
		l.ended++
	}
	l.mu.Unlock()
	_ = c.Close() // idle for too long, or the server has gone
	l.forget(c)
}

// untilReadable waits without reading anything.
func (l *lot) untilReadable(c *conn) error {
	if err := l.setDeadline(c); err != nil {
		return err
	}
	raw, err := c.Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	if err := raw.Read(readable); err != nil {
		return err
	}
	return c.Conn.SetReadDeadline(time.Time{})
}

// readable looks without taking: the poller tells only of what comes later.
func readable(fd uintptr) bool {
	var one [1]byte
	_, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err == nil || !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
}

func (l *lot) setDeadline(c *conn) error {
	l.mu.Lock()
	defer l.mu.Unlock() // nobody is told to leave, or closed, meanwhile
	if l.closed {
		return net.ErrClosed
	}
	if c.leaves() {
		return errLeaves
	}
	if l.idle <= 0 {
		return c.Conn.SetReadDeadline(time.Time{})
	}
	return c.Conn.SetReadDeadline(time.Now().Add(l.idle))
}

// wake ends the wait of a connection that shall leave, and may do so later if
// it is with the server by now.
func (c *conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = true
	if !c.followed.Load() {
		_ = c.Conn.SetReadDeadline(longAgo) // it has been closed: then nothing is left to move
	}
}

// leaves tells whether the connection shall leave.
func (c *conn) leaves() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leaving
}
