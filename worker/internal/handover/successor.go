package handover

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/norestart/norestart/internal/ipc"
)

// successor is the worker that gets the connections of this one, which drains. A
// few at a time are offered. A connection is the successor's only when that has
// said so; then it is closed here. What it refuses is served on here.
type successor struct {
	conn *ipc.Conn

	mu      sync.Mutex // a leaf
	changed *sync.Cond // something is queued, or it is over
	queue   []*conn
	refused map[string]bool // listeners of which it takes no connections
	over    bool
	held    bool      // it does not serve yet
	lost    time.Time // when it refused last, or was over
}

func newSuccessor(c *ipc.Conn) *successor {
	s := &successor{conn: c, refused: make(map[string]bool)}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// takes reports whether it may take connections of a listener.
func (s *successor) takes(listener string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.over && !s.refused[listener]
}

// push queues a connection; false if the successor is over.
func (s *successor) push(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	s.queue = append(s.queue, c)
	s.changed.Signal()
	return true
}

func (s *successor) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

func (s *successor) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.over, s.lost = true, time.Now()
	}
	s.changed.Signal()
}

func (s *successor) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = false
	s.changed.Signal()
}

func (s *successor) refuses(listener string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[listener], s.lost = true, time.Now()
}

// refusedWithin reports whether it stopped taking connections just now: if it is
// being replaced, we will hear of another one.
func (s *successor) refusedWithin(moment time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.lost) < moment
}

// connectionsPerMessage is how many are under way at once: descriptors in
// flight are limited (ETOOMANYREFS, unix(7)).
const connectionsPerMessage = 32

// next takes some off the queue; none when it is over.
func (s *successor) next() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	for (s.held || len(s.queue) == 0) && !s.over {
		s.changed.Wait()
	}
	batch := s.queue[:min(len(s.queue), connectionsPerMessage)]
	s.queue = s.queue[len(batch):]
	return batch
}

// give passes on what is queued until the successor fails, or another takes its
// place, or the worker ends.
func (s *successor) give(all *Connections) {
	defer s.conn.Close()
	defer context.AfterFunc(all.cut, s.end)()
	for {
		batch := s.next()
		if len(batch) == 0 {
			return
		}
		taken := s.offer(batch)
		for i, c := range batch {
			if !taken[i] {
				s.refuses(c.listener.name)
			}
		}
		for i, c := range batch {
			c.server.given(c, taken[i])
		}
	}
}

// offer passes connections on and tells which of them were taken. After an
// error the successor is of no more use.
func (s *successor) offer(batch []*conn) []bool {
	taken := make([]bool, len(batch))
	if s.isOver() {
		return taken
	}
	m := ipc.Move{}
	for _, c := range batch {
		m.Connections = append(m.Connections, ipc.Moving{Listener: c.listener.name, Read: c.unparsed()})
	}
	err := withDescriptors(batch, nil, func(fds []int) error { return s.send(m, fds) })
	if err == nil {
		err = s.answer(taken)
	}
	if err != nil {
		s.end()
	}
	return taken
}

// send offers connections. Descriptors in flight are limited for all processes
// of a user together (ETOOMANYREFS, unix(7)): others are on their way then, and
// soon there.
func (s *successor) send(m ipc.Move, fds []int) error {
	end := time.Now().Add(ipc.SendTimeout)
	for pause := time.Millisecond; ; pause = min(2*pause, maxPause) {
		err := s.conn.Send(ipc.SendTimeout, ipc.TypeMove, m, fds...)
		if !errors.Is(err, unix.ETOOMANYREFS) || s.isOver() || time.Now().After(end) {
			return err
		}
		time.Sleep(pause)
	}
}

const (
	// maxPause is the longest wait before an offer is sent again.
	maxPause = 50 * time.Millisecond
	// answerWithin is how long a successor may take to answer: meanwhile no
	// process reads what the clients send.
	answerWithin = time.Second
)

// answer reads what the successor took. If it does not say so in time it must
// not say so later: then both would serve the same connection.
func (s *successor) answer(taken []bool) error {
	m, err := s.conn.Receive(answerWithin)
	if err != nil {
		err = errors.Join(err, s.conn.CloseRead())
		late, lateErr := s.conn.Receive(answerWithin)
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
	raw, err := batch[0].SyscallConn()
	if err != nil {
		return err
	}
	var below error
	err = raw.Control(func(fd uintptr) { below = withDescriptors(batch[1:], append(fds, int(fd)), do) })
	return errors.Join(err, below)
}
