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
	for _, c := range batch {
		m.Connections = append(m.Connections, ipc.Moving{Listener: c.from.name, Read: c.rest()})
	}
	err := withDescriptors(batch, nil, func(fds []int) error { return h.send(m, fds) })
	if err == nil {
		err = h.answer(taken)
	}
	if err != nil {
		h.end()
	}
	return taken
}

// send offers connections. Descriptors in flight are limited for all processes
// of a user together (ETOOMANYREFS, unix(7)): others are on their way then, and
// soon there.
func (h *heir) send(m ipc.Move, fds []int) error {
	end := time.Now().Add(ipc.SendTimeout)
	for pause := time.Millisecond; ; pause = min(2*pause, maxPause) {
		err := h.conn.Send(ipc.SendTimeout, ipc.TypeMove, m, fds...)
		if !errors.Is(err, unix.ETOOMANYREFS) || h.isOver() || time.Now().After(end) {
			return err
		}
		time.Sleep(pause)
	}
}

// maxPause is how long it waits at most before it tries again.
const maxPause = 50 * time.Millisecond

// answerWithin is how long an heir may take: meanwhile nobody reads what the
// clients send.
const answerWithin = time.Second

// answer reads what the heir took. If it does not say so in time it must not
// say so later: then both would serve the same connection.
func (h *heir) answer(taken []bool) error {
	m, err := h.conn.Receive(answerWithin)
	if err != nil {
		err = errors.Join(err, h.conn.CloseRead())
		late, lateErr := h.conn.Receive(answerWithin)
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

// withDescriptors lends the descriptors of connections: a process that has no
// room for copies can still give them away.
func withDescriptors(batch []*conn, fds []int, do func([]int) error) error {
	if len(batch) == 0 {
		return do(fds)
	}
	inner, ok := batch[0].Conn.(syscall.Conn)
	if !ok {
		return errors.ErrUnsupported
	}
	raw, err := inner.SyscallConn()
	if err != nil {
		return err
	}
	var below error
	err = raw.Control(func(fd uintptr) { below = withDescriptors(batch[1:], append(fds, int(fd)), do) })
	return errors.Join(err, below)
}
