package worker

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/ipc"
)

// heir is the worker that gets the idle connections of this one, which drains.
// A few at a time are offered; one is its own only when it has said so, and is
// closed here then. What it does not take is served on here.
type heir struct {
	conn *ipc.Conn
	wake chan struct{} // size 1: something is queued, or it is over

	mu      sync.Mutex // a leaf
	queue   []*conn
	refused map[string]bool // listeners of which it takes no connections
	over    bool
	lost    time.Time // when it refused last, or was over
}

// setHeir begins to give connections to the one at the other end.
func (w *Worker) setHeir(c *ipc.Conn) {
	h := &heir{conn: c, wake: make(chan struct{}, 1), refused: make(map[string]bool)}
	if old := w.heir.Swap(h); old != nil {
		old.end()
	}
	w.wg.Go(func() { w.give(h) })
	for _, l := range w.listeners {
		if d := l.servedBy(); d != nil && d.draining.Load() {
			d.depart()
		}
	}
}

// takes tells whether it may take connections of a listener.
func (h *heir) takes(listener string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.over && !h.refused[listener]
}

// push queues a connection; false when nobody takes it.
func (h *heir) push(c *conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return false
	}
	h.queue = append(h.queue, c)
	h.signal()
	return true
}

func (h *heir) isOver() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.over
}

func (h *heir) signal() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *heir) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.over {
		h.over, h.lost = true, time.Now()
	}
	h.signal()
}

// connectionsPerMessage is how many are under way at once: descriptors in
// flight are limited (ETOOMANYREFS, unix(7)).
const connectionsPerMessage = 32

// next takes some off the queue; none when it is over.
func (h *heir) next() []*conn {
	for {
		h.mu.Lock()
		batch := h.queue[:min(len(h.queue), connectionsPerMessage)]
		h.queue = h.queue[len(batch):]
		over := h.over
		h.mu.Unlock()
		if len(batch) > 0 || over {
			return batch
		}
		<-h.wake
	}
}

// give passes on what is queued until the heir fails, or another takes its
// place, or the worker ends.
func (w *Worker) give(h *heir) {
	defer h.conn.Close()
	stop := make(chan struct{})
	defer close(stop)
	w.wg.Go(func() {
		select {
		case <-w.hard.Done():
			h.end()
		case <-stop:
		}
	})
	for {
		batch := h.next()
		if len(batch) == 0 {
			return
		}
		taken := h.offer(batch)
		for i, c := range batch {
			if !taken[i] {
				h.refuse(c.from.name)
			}
		}
		for i, c := range batch {
			c.server.settle(c, taken[i])
		}
	}
}

func (h *heir) refuse(listener string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refused[listener], h.lost = true, time.Now()
}

// justLost tells whether it takes no more since a moment ago: when it is
// replaced, the word who comes after it is on its way.
func (h *heir) justLost(moment time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.lost) < moment
}

// offer passes connections on and tells which of them were taken. After an
// error the heir is of no more use.
func (h *heir) offer(batch []*conn) []bool {
	taken := make([]bool, len(batch))
	if h.isOver() {
		return taken
	}
	m := ipc.Move{}
	var fds []int
	var err error
	for _, c := range batch {
		var fd int
		if fd, err = duplicate(c); err != nil {
			break
		}
		fds = append(fds, fd)
		m.Connections = append(m.Connections, ipc.Moving{Listener: c.from.name, Read: c.rest()})
	}
	if err == nil {
		err = h.conn.Send(ipc.SendTimeout, ipc.TypeMove, m, fds...)
	}
	for _, fd := range fds {
		_ = unix.Close(fd) // only a copy
	}
	if err == nil {
		err = h.answer(taken)
	}
	if err != nil {
		h.end()
	}
	return taken
}

// answer reads what the heir took. If it does not say so in time it must not
// say so later: then both would serve the same connection.
func (h *heir) answer(taken []bool) error {
	m, err := h.conn.Receive(ipc.SendTimeout)
	if err != nil {
		err = errors.Join(err, h.conn.CloseRead())
		late, lateErr := h.conn.Receive(ipc.SendTimeout)
		if lateErr != nil {
			return err
		}
		m = late
	}
	defer m.Discard()
	var a ipc.Moved
	if m.Type != ipc.TypeMoved || m.Decode(&a) != nil || len(a.Taken) != len(taken) {
		return fmt.Errorf("move connections: answered by %s", m.Type)
	}
	copy(taken, a.Taken)
	return err
}

// duplicate is a descriptor of the connection for another process.
func duplicate(c *conn) (int, error) {
	inner, ok := c.Conn.(syscall.Conn)
	if !ok {
		return -1, errors.ErrUnsupported
	}
	raw, err := inner.SyscallConn()
	if err != nil {
		return -1, err
	}
	copied, dupErr := -1, error(nil)
	err = raw.Control(func(fd uintptr) { copied, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	return copied, errors.Join(err, dupErr)
}
