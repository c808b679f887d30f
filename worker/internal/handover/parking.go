package handover

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// parking is where connections that were handed over wait for their client to say
// something: then an http.Server accepts them as new ones, and its timeouts
// begin. It is a net.Listener.
type parking struct {
	addr     net.Addr
	idle     time.Duration // how long one may wait; 0: for ever
	give     func(*conn)   // takes one that is to be handed over; it is still counted here
	onChange func()        // of their number

	ready chan *conn
	over  chan struct{}
	wg    sync.WaitGroup

	mu     sync.Mutex // a leaf
	parked map[*conn]struct{}
	closed bool
	ended  int // connections that Close has closed: final when it returns
}

func newParking(addr net.Addr, idle time.Duration, give func(*conn), onChange func()) *parking {
	return &parking{
		addr: addr, idle: idle, give: give, onChange: onChange,
		ready: make(chan *conn), over: make(chan struct{}), parked: make(map[*conn]struct{}),
	}
}

// Accept returns the next connection with something to read. It is counted here
// until the server has reported it, see [parking.remove].
func (p *parking) Accept() (net.Conn, error) {
	select {
	case c := <-p.ready:
		return c, nil
	case <-p.over:
		return nil, net.ErrClosed
	}
}

func (p *parking) Addr() net.Addr { return p.addr }

func (p *parking) Close() error {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	for c := range p.parked {
		_ = c.Conn.SetReadDeadline(longAgo) // it may be closed already
	}
	p.mu.Unlock()
	if first {
		close(p.over)
	}
	p.wg.Wait()
	return nil
}

// reserve makes room for a connection, which must soon be parked or cancelled;
// false if nothing accepts it any more.
func (p *parking) reserve(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.parked[c] = struct{}{}
		p.wg.Add(1)
	}
	return !p.closed
}

func (p *parking) cancel(c *conn) {
	p.remove(c)
	p.wg.Done()
}

func (p *parking) remove(c *conn) {
	p.mu.Lock()
	_, was := p.parked[c]
	delete(p.parked, c)
	p.mu.Unlock()
	if was {
		p.onChange()
	}
}

func (p *parking) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.parked)
}

func (p *parking) handOver() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.parked {
		c.handOverParked()
	}
}

// park lets a connection wait in the place that was reserved for it.
func (p *parking) park(c *conn) {
	go func() {
		defer p.wg.Done()
		p.wait(c)
	}()
}

func (p *parking) wait(c *conn) {
	var err error
	if len(c.replay) == 0 {
		err = p.untilReadable(c)
	}
	switch {
	case c.wanted.Load():
		p.give(c)
		p.remove(c)
		return
	case err == nil:
		select {
		case p.ready <- c:
			return
		case <-p.over:
		}
	}
	p.mu.Lock()
	if p.closed {
		p.ended++
	}
	p.mu.Unlock()
	_ = c.Close() // idle for too long, or the server has gone
	p.remove(c)
}

func (p *parking) untilReadable(c *conn) error {
	if err := p.setDeadline(c); err != nil {
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

// readable checks first, because the poller reports only later input.
func readable(fd uintptr) bool {
	var one [1]byte
	_, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err == nil || !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
}

func (p *parking) setDeadline(c *conn) error {
	p.mu.Lock()
	defer p.mu.Unlock() // none is closed, or handed over, meanwhile
	switch {
	case p.closed:
		return net.ErrClosed
	case c.wanted.Load():
		return errHandedOver
	case p.idle <= 0:
		return c.Conn.SetReadDeadline(time.Time{})
	}
	return c.Conn.SetReadDeadline(time.Now().Add(p.idle))
}
